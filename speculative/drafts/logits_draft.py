"""Drafts that pick each token from a row of logits."""

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence

import torch

from speculative.drafts.stopping import StoppingDraft

READ_CHUNK = 512  # tokens a pass reads; bounds the memory of attention masks


class LogitsDraft(StoppingDraft):
    """A draft that picks each token from a row of logits.

    Attributes:
        entry_ids: (v,) the target's id of each entry of the allowed logits; None where they are numbered as the
            target's.
    """

    entry_ids: torch.Tensor | None = None

    @abstractmethod
    def allowed(self, logits: torch.Tensor) -> torch.Tensor:
        """Cut (n, v) logits to the proposable tokens."""

    def own_ids(self, entries: torch.Tensor) -> torch.Tensor:
        """Map (n,) entries of the allowed logits to the ids that its passes read."""
        return entries

    def to_target(self, token_ids: torch.Tensor) -> torch.Tensor:
        """Map (n,) ids that its passes read to the target's."""
        return token_ids


def write_alone(draft: LogitsDraft, prompt: Sequence[int], n_tokens: int, eos_ids: Collection[int]) -> list[int]:
    """Return a draft's own greedy continuation of a prompt, a pass a token, as far as its context reaches."""
    session, text = draft.unstopped().open(prompt), list(prompt)
    end = min(len(prompt) + n_tokens, draft.max_positions or math.inf)
    while len(text) < end:
        token_ids = session.propose(text, 1).token_ids
        text += token_ids
        if not token_ids or token_ids[-1] in eos_ids:
            break
    session.close(prompt)
    return text[len(prompt) :]


def read_along(
    token_ids: torch.Tensor, first: int, read: Callable[[torch.Tensor, Sequence[int]], torch.Tensor]
) -> Iterator[torch.Tensor]:
    """Read a text and yield the logits after each of its tokens from the one at `first` on, in parts of (n, v).

    Args:
        token_ids: (t,) as the model has them.
        first: index of the first token whose logits count.
        read: reads on, and gives the logits of these rows of what it is given.
    """
    for begin in range(0, len(token_ids), READ_CHUNK):
        chunk = token_ids[begin : begin + READ_CHUNK]
        rows = range(max(0, first - begin), len(chunk))
        yield read(chunk, rows or [len(chunk) - 1])[: len(rows)]
