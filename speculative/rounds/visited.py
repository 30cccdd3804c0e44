"""Rounds that a selector came by on traced texts, and what every arm would have brought there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bandits import ContextEncoder
from bandits.checks import Int64
from speculative.collection.trace import Trace
from speculative.measuring.cost_profile import CostProfile
from speculative.protocols.selector import RoundContext
from speculative.rounds.acceptance_model import AcceptedCounts
from speculative.rounds.playing import play
from speculative.rounds.record import RecordLayout, RoundRecord
from speculative.rounds.round_selector import RoundSelector

CHANGE_PROBABILITY = 0.5  # an arm is mostly kept for some rounds, as a selector would


@dataclass(frozen=True, slots=True)
class Visit:
    """A round of a traced text.

    Attributes:
        record: what was known before it.
        trace: the text.
        n_new: new tokens before it.
    """

    record: RoundRecord
    trace: Trace
    n_new: int


class RandomRounds(RoundSelector):
    """Arms at random: rounds from which other selectors learn.

    Args:
        layout: of the arms.
        rng: of the choices.
        encoder: of the prompts; see `RoundSelector`.
    """

    def __init__(self, layout: RecordLayout, rng: np.random.Generator, encoder: ContextEncoder | None = None) -> None:
        super().__init__(layout, encoder)
        self._rng, self._action = rng, 0

    def choose(self, round_: RoundContext, record: RoundRecord) -> int:
        """Keep the arm, or draw another."""
        if self._rng.random() < CHANGE_PROBABILITY:
            self._action = int(self._rng.integers(len(self.layout.arms)))
        return self._action


def visits(selector: RoundSelector, traces: Sequence[Trace], costs: CostProfile) -> list[Visit]:
    """Play a selector through each text, and return the rounds that it came by."""
    found: list[Visit] = []
    plans = list(selector.layout.arms.values())
    for trace in traces:

        def keep(round_: RoundContext, record: RoundRecord, action: int, trace: Trace = trace) -> None:
            found.append(Visit(record, trace, round_.n_new))

        told, selector.on_choice = selector.on_choice, keep
        try:
            play(selector, plans, trace, costs)
        finally:
            selector.on_choice = told
    return found


def accepted_counts(found: Sequence[Visit], layout: RecordLayout) -> AcceptedCounts:
    """Return what each draft would have got accepted in each round, asked for the longest length of its arms."""
    asked: dict[str, Int64] = {}
    accepted: dict[str, Int64] = {}
    goes_on: dict[str, float] = {}
    for d, draft in enumerate(layout.drafts):
        longest = max(length for of, length in zip(layout.draft_of, layout.lengths, strict=True) if of == d)
        counts = np.array(
            [visit.trace.proposal(draft, longest, visit.n_new) for visit in found], dtype=np.int64
        ).reshape(-1, 2)
        can = np.array([visit.record.match_lengths[d] != 0 for visit in found]) & (counts[:, 0] >= 0)
        room = np.array([visit.trace.max_new_tokens - visit.n_new - 1 for visit in found])
        asked[draft], accepted[draft] = np.where(can, np.minimum(longest, room), 0), counts[:, 1]
        if any(draft in visit.trace.drafts and visit.trace.drafts[draft].stops for visit in found):
            n_computed = sum(visit.trace.n_drafted(draft, longest, visit.n_new) for visit in found)
            goes_on[draft] = float(np.maximum(counts[:, 0], 0).sum() / n_computed) if n_computed else 1.0
    return AcceptedCounts(np.stack([visit.record.values for visit in found]), asked, accepted, goes_on)
