"""What is known before a round, for free, as numbers: the one function that training, playing and serving share."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from arms.fingerprint import digest
from bandits.checks import Float32
from speculative.collection.arm_plan import ArmPlan
from speculative.protocols.selector import RoundContext, RoundObservation
from speculative.rounds.prompt_features import PromptFeatures

RECORD_VERSION = 2
"""Of the numbers and their order: what was learned from records of one version can read no other."""
HORIZONS = (2.0, 8.0)
"""Rounds over which recent outcomes are averaged, exponentially weighted."""
SHARED = (
    "constant",
    "log_position",
    "log_prompt_length",
    "last_tokens",
    *(f"recent_tokens_{horizon:g}" for horizon in HORIZONS),
)
PER_DRAFT = (
    "log_match",
    "match_is_0",
    "match_at_least_2",
    "match_at_least_4",
    "match_at_least_8",
    *(f"foretold_{horizon:g}" for horizon in HORIZONS),
    *(f"accepted_{horizon:g}" for horizon in HORIZONS),
    "log_idle",
)


@dataclass(frozen=True, slots=True)
class RoundRecord:
    """The numbers of one round of one request.

    Attributes:
        values: (d,) float32, in the order of `RecordLayout.names`.
        match_lengths: of each draft of the layout; None for one that looks nothing up, or cannot now.
        n_idle: per draft, tokens that it has not read; those of its own last round count as read.
    """

    values: Float32
    match_lengths: tuple[int | None, ...]
    n_idle: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RecordLayout:
    """Which numbers a record holds: some of the request, and some of each draft of the arms.

    Attributes:
        arms: name to plan, in the order of the engine's arms; fixed arms only.
        prompt: what is taken from the prompt's context; None for nothing.
        drafts: names of the arms' drafts, no draft left out.
        draft_of: index of each arm's draft among `drafts`; None for no draft.
        lengths: draft length of each arm.
        names: of the numbers, in order.
        mark: what the numbers and the arms are, as data and policies keep it: layouts that differ have different ones.

    Raises:
        ValueError: if there is no arm, or one is a rule.
    """

    arms: Mapping[str, ArmPlan]
    prompt: PromptFeatures | None = None
    drafts: tuple[str, ...] = field(init=False)
    draft_of: tuple[int | None, ...] = field(init=False)
    lengths: tuple[int, ...] = field(init=False)
    names: tuple[str, ...] = field(init=False)
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        if not self.arms:
            raise ValueError("a choice per round needs at least one arm, got none")
        for name, plan in self.arms.items():
            if len(plan.drafts) != 1:
                raise ValueError(f"a choice per round is among fixed arms, but {name!r} is a rule: leave it out")
        plans = self.arms.values()
        drafts = list(dict.fromkeys(plan.drafts[0][0] for plan in plans if plan.draft_length))
        draft_of = tuple(drafts.index(plan.drafts[0][0]) if plan.draft_length else None for plan in plans)
        lengths = tuple(plan.draft_length for plan in plans)
        names = [*SHARED, *(f"{draft}.{name}" for draft in drafts for name in PER_DRAFT)]
        names += [f"prompt_{i}" for i in range(0 if self.prompt is None else len(self.prompt.components))]
        mark = f"round_record_{RECORD_VERSION}:{digest(names, draft_of, lengths, self.prompt)[:16]}"
        found = {"drafts": tuple(drafts), "draft_of": draft_of, "lengths": lengths, "names": tuple(names), "mark": mark}
        for name, value in found.items():
            object.__setattr__(self, name, value)


class RecordKeeper:
    """Makes the records of one request, from what the engine says before its rounds and after them.

    Honest by construction: it is shown nothing but what a selector is. What a look-up would have done is told by its
    next match, which covers the tokens that it foretold, whether it was asked or not; what an idle model would have
    done stays unknown, and its recent acceptance is that of the rounds that it drafted.

    Args:
        layout: of the arms.
        context: (d,) of the prompt, where the layout takes something from it.

    Raises:
        ValueError: if the layout needs a context and none is given, or one of another size.
    """

    def __init__(self, layout: RecordLayout, context: Float32 | None = None) -> None:
        if layout.prompt is not None and context is None:
            raise ValueError("these rounds were learned with the prompt's context: give the selector its encoder")
        self._prompt = [] if layout.prompt is None or context is None else layout.prompt.of(context).tolist()
        self._layout, n = layout, len(layout.drafts)
        self._asked = [next(i for i, of in enumerate(layout.draft_of) if of == d) for d in range(n)]
        self._foretold = [[0.0] * n for _ in HORIZONS]
        self._accepted = [[0.5] * n for _ in HORIZONS]
        self._tokens = [1.0 for _ in HORIZONS]
        self._last_new, self._n_committed = 1, 0
        self._n_read = [0] * n
        self._looked_up: set[int] = set()

    def record(self, round_: RoundContext) -> RoundRecord:
        """Return the numbers known before a round; asked once a round, in order."""
        self._n_committed = round_.cache_length
        matches = tuple(round_.match_length(action) for action in self._asked)
        self._tell_matches(matches)
        values = [
            1.0,
            math.log1p(round_.n_new),
            math.log1p(round_.n_prompt),
            math.log(self._last_new),
            *self._tokens,
        ]
        idle = tuple(max(0, self._n_committed - n) for n in self._n_read)
        for d, match in enumerate(matches):
            values += _match_values(match)
            values += [rates[d] for rates in self._foretold]
            values += [rates[d] for rates in self._accepted]
            values.append(math.log1p(idle[d]))
        values += self._prompt
        return RoundRecord(np.array(values, dtype=np.float32), matches, idle)

    def observe(self, observation: RoundObservation) -> None:
        """Note what the round gave; `record` came before it."""
        self._last_new = max(1, observation.n_new)
        draft = self._layout.draft_of[observation.action]
        for i, horizon in enumerate(HORIZONS):
            self._tokens[i] += (math.log(self._last_new) - self._tokens[i]) / horizon
            if draft is not None and observation.n_proposed:
                share = observation.n_accepted / observation.n_proposed
                self._accepted[i][draft] += (share - self._accepted[i][draft]) / horizon
        asked = self._looked_up if draft is None else {*self._looked_up, draft}
        for d in asked:
            self._n_read[d] = self._n_committed + observation.n_new

    def _tell_matches(self, matches: Sequence[int | None]) -> None:
        """Take from each look-up's match how much of the last round it had foretold."""
        self._looked_up = {d for d, match in enumerate(matches) if match is not None}
        for d in self._looked_up:
            match = matches[d] or 0
            share = min(match, self._last_new) / self._last_new
            for i, horizon in enumerate(HORIZONS):
                self._foretold[i][d] += (share - self._foretold[i][d]) / horizon


def _match_values(match: int | None) -> list[float]:
    if match is None:
        return [0.0] * 5
    return [math.log1p(match), float(match == 0), float(match >= 2), float(match >= 4), float(match >= 8)]
