"""What each draft would have got accepted from every start position of the target's own text."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from arms.checks import at_least
from speculative.protocols.draft import Draft
from speculative.protocols.draft_trace import DraftTrace, TracedOnStates
from speculative.protocols.state_rows import StateRows
from speculative.sampling.certainty import Certainty


@dataclass(frozen=True, slots=True)
class Trace:
    """A query's greedy target text and every draft's trace on it.

    Attributes:
        query_id: the query's id.
        domain: its domain, where known.
        prompt_ids: the prompt's token ids.
        new_ids: token ids of the target's text, at least one.
        max_new_tokens: the limit it was written under; shortens the last proposals of a real run.
        max_draft_length: longest draft length that can be replayed.
        context: (d,) float32, the bandit's features of the query.
        encode_s: seconds the features took.
        drafts: by draft name.
        margins: (n_new,) float32; entry j: by how much the logit of new token j is above the second largest one. NaN
            for the last token, after which there is no round; None where it was not kept.
        entropies: (n_new,) float32, nats; entry j: of the distribution that new token j was the best of; NaN and None
            as of the margins.
        encoder: name of what made the context; None where it is not known.
    """

    query_id: str
    domain: str | None
    prompt_ids: tuple[int, ...]
    new_ids: tuple[int, ...]
    max_new_tokens: int
    max_draft_length: int
    context: npt.NDArray[np.float32]
    encode_s: float
    drafts: Mapping[str, DraftTrace]
    margins: npt.NDArray[np.float32] | None = None
    entropies: npt.NDArray[np.float32] | None = None
    encoder: str | None = None

    def certainty(self, n_new: int) -> Certainty | None:
        """Return how sure the target was of the last of so many new tokens; None where it was not kept."""
        if self.margins is None or self.entropies is None:
            return None
        return Certainty(float(self.margins[n_new - 1]), float(self.entropies[n_new - 1]))

    def can_draft(self, draft: str, n_new: int) -> bool:
        """Say whether the prefix after so many new tokens is short enough for a draft."""
        limit = self.drafts[draft].max_positions if draft in self.drafts else None
        return limit is None or len(self.prompt_ids) + n_new < limit

    def proposal(self, draft: str, draft_length: int, n_new: int) -> tuple[int, int]:
        """Return how many tokens a draft proposes after so many new ones, and how many of them are accepted.

        Args:
            draft: its name.
            draft_length: most tokens that it is asked for; the text's limit may leave room for fewer.
            n_new: new tokens before the round, >= 1.

        Returns:
            (proposed, accepted); (-1, 0) where the draft is not asked: no room, too long a prefix, or no trace of it.
        """
        asked = min(draft_length, self.max_new_tokens - n_new - 1)
        if asked < 1 or draft not in self.drafts or not self.can_draft(draft, n_new):
            return -1, 0
        found = self.drafts[draft]
        n_proposed = min(asked, int(found.proposed[n_new]))
        return n_proposed, min(n_proposed, int(found.accepted[n_new]))

    def n_drafted(self, draft: str, draft_length: int, n_new: int) -> int:
        """Return for how many tokens a draft computes in that round; arguments as in `proposal`.

        A draft that stops where it is unsure has computed the token that it leaves out.
        """
        n_proposed = max(0, self.proposal(draft, draft_length, n_new)[0])
        found = self.drafts.get(draft)
        if found is None or not found.stops:
            return n_proposed
        room = min(draft_length, self.max_new_tokens - n_new - 1)
        if found.max_positions is not None:
            room = min(room, found.max_positions - len(self.prompt_ids) - n_new)
        return max(0, min(n_proposed + 1, room))


def trace_draft(
    draft: Draft,
    prompt_ids: Sequence[int],
    new_ids: Sequence[int],
    max_draft_length: int,
    states: StateRows | None = None,
) -> DraftTrace:
    """Find what `draft` would get accepted from every position of a text, `Draft.trace`, and how long that takes.

    Args:
        draft: the proposer; nothing it has stored may hold this text.
        prompt_ids: the prompt.
        new_ids: the target's greedy text.
        max_draft_length: longest proposal asked for, >= 1.
        states: that the target's passes left where the draft is `TracedOnStates`; None for passes of its own.

    Raises:
        ValueError: if `max_draft_length` is below 1.
    """
    at_least(max_draft_length, 1, "max_draft_length")
    begin = time.perf_counter()
    if isinstance(draft, TracedOnStates) and states is not None:
        kept = states.since(0, draft.trace_layers)
        found = draft.trace_on_states(kept, prompt_ids, new_ids, max_draft_length)
    else:
        found = draft.trace(prompt_ids, new_ids, max_draft_length)
    return replace(found, seconds=time.perf_counter() - begin)
