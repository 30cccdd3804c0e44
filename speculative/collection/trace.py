"""What each draft would have got accepted from every start position of the target's own text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from arms.checks import at_least
from speculative.protocols.draft import Draft

Counts = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class DraftTrace:
    """One draft against one text.

    Attributes:
        proposed: (n_new,) int32; entry j: tokens proposed after j new tokens, when asked for the longest
            draft length. Entry 0 is unused: the prefill yields the first token.
        accepted: (n_new,) int32; of these, how many the target's text confirms.
        own_ids: what the draft writes alone, where it was asked and can.
    """

    proposed: Counts
    accepted: Counts
    own_ids: tuple[int, ...] | None = None


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


def trace_draft(
    draft: Draft,
    prompt_ids: Sequence[int],
    new_ids: Sequence[int],
    max_draft_length: int,
    own_text: bool = False,
) -> DraftTrace:
    """Find what `draft` would get accepted from every position of a text.

    While drafts are accepted, a draft's prefix is the target's own text; so one look at that text tells all.
    A draft that can score a whole text at once does (`accepted_lengths`); any other is asked position by
    position, which shows it just what a real run would.

    Args:
        draft: the proposer; nothing it has stored may hold this text.
        prompt_ids: the prompt.
        new_ids: the target's greedy text.
        max_draft_length: longest proposal asked for, >= 1.
        own_text: also let the draft write its own answer, if it can.

    Raises:
        ValueError: if `max_draft_length` is below 1.
    """
    at_least(max_draft_length, 1, "max_draft_length")
    own = draft.write(prompt_ids, len(new_ids)) if own_text else None
    proposed, accepted = draft.accepted_lengths(prompt_ids, new_ids, max_draft_length)
    return DraftTrace(proposed, accepted, None if own is None else tuple(own))
