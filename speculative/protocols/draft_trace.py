"""What a draft would do at every position of a text that the target wrote."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch

from speculative.protocols.causal_lm import CausalLM

Counts = npt.NDArray[np.int32]
NO_MATCH_LENGTH = -1  # in an array of match lengths: None


@dataclass(frozen=True, slots=True)
class OwnText:
    """What a draft writes alone.

    Attributes:
        token_ids: of its own greedy text, an end-of-text token last where it wrote one.
        seconds: that it took, the prompt's reading included.
    """

    token_ids: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class DraftLogits:
    """A draft's distribution of each token of a text.

    Attributes:
        values: (n, m) float logits, at temperature 1; one row a token.
        entry_ids: (m,) int64, the target's id of each column; None where they are its first m ids.
    """

    values: torch.Tensor
    entry_ids: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class DraftTrace:
    """One draft against one text; entry j of an array: asked after j new tokens.

    Entry 0 is unused: the prefill yields the first token.

    Attributes:
        proposed: (n_new,) int32; tokens proposed when asked for the longest draft length.
        accepted: (n_new,) int32; of these, how many the target's text confirms.
        match_lengths: (n_new,) int32; what the draft's look-up says before it proposes, -1 for None; None for a draft
            that looks nothing up.
        confidences: (n_new,) float32 in [0, 1]; the draft's own probability of its first draft token, 0 where it
            cannot draft; None for a draft that knows none.
        max_positions: the draft's, longest prefix that it can continue.
        own: what the draft writes alone, where it was asked and can.
        overlaps: (n_new - 1,) float32 in [0, 1], 1 - TV of the draft's distribution and the target's, of each new token
            but the first; None where it was not looked at.
        stops: whether the draft stops early where it is unsure: then what it proposes short of what was asked for took
            it a pass more.
        seconds: that the tracing took; None where it was not timed.
    """

    proposed: Counts
    accepted: Counts
    match_lengths: Counts | None = None
    confidences: npt.NDArray[np.float32] | None = None
    max_positions: int | None = None
    own: OwnText | None = None
    overlaps: npt.NDArray[np.float32] | None = None
    stops: bool = False
    seconds: float | None = None

    def match_length(self, n_new: int) -> int | None:
        """Return what the look-up says after so many new tokens; None where it looks nothing up."""
        if self.match_lengths is None or self.match_lengths[n_new] == NO_MATCH_LENGTH:
            return None
        return int(self.match_lengths[n_new])


@runtime_checkable
class TracedOnStates(Protocol):
    """A draft of the target's own states: where they are known, it is traced without a pass of the target.

    Attributes:
        target: the model whose states it reads.
        trace_layers: which of them, as in `Draft.state_layers`.
    """

    target: CausalLM
    trace_layers: tuple[int, ...]

    def trace_on_states(
        self, states: torch.Tensor, prompt: Sequence[int], new: Sequence[int], max_draft_length: int
    ) -> DraftTrace:
        """Find what `Draft.trace` does.

        Args:
            states: (n_prompt + n_new - 1, layers * d), of the text's tokens but the last.
            prompt: as in `Draft.trace`.
            new: as there.
            max_draft_length: as there.
        """


@dataclass(frozen=True, slots=True)
class BestTokens:
    """A draft's best next token after each position of a text, and how sure it is: (n,) int64, (n,) float32."""

    token_ids: torch.Tensor
    probabilities: torch.Tensor

    @classmethod
    def of(cls, logits: torch.Tensor) -> "BestTokens":
        """Take them from (n, v) logits."""
        values, ids = logits.float().max(-1)
        return cls(ids, (values - logits.float().logsumexp(-1)).exp())


def trace_of_best(
    best: Sequence[BestTokens], new: Sequence[int], n_prompt: int, max_draft_length: int, max_positions: int
) -> DraftTrace:
    """Return the trace of a draft that always proposes its best token, from one pass over the text.

    Args:
        best: in parts, after each of the new tokens but the last, as far as the draft can continue; ids as in the text.
        new: token ids that the target wrote.
        n_prompt: tokens before them.
        max_draft_length: longest proposal.
        max_positions: longest prefix that the draft can continue.
    """
    proposed, accepted = np.zeros((2, len(new)), dtype=np.int32)
    confidences = np.zeros(len(new), dtype=np.float32)
    best_ids = [token for part in best for token in part.token_ids.tolist()]
    sure = [value for part in best for value in part.probabilities.tolist()]
    run = 0
    for j in range(len(new) - 1, 0, -1):
        can = j <= len(best_ids)
        run = run + 1 if can and best_ids[j - 1] == new[j] else 0
        proposed[j] = max(0, min(max_draft_length, max_positions - n_prompt - j))
        accepted[j] = min(run, proposed[j])
        confidences[j] = sure[j - 1] if can and proposed[j] else 0.0
    return DraftTrace(proposed, accepted, confidences=confidences, max_positions=max_positions)
