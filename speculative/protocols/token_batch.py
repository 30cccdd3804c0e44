"""The tokens of one forward pass: rows of the cache, each with its own count."""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import torch

from speculative.sampling.picks_of_pass import AskedPicks
from speculative.sampling.pinned import without_waiting


class TokenBatch(NamedTuple):
    """New tokens of some rows of a cache, packed one after another without padding.

    Attributes:
        token_ids: (n,) int64, all rows' tokens in row order.
        counts: tokens of each row, each >= 1; they sum to n.
        first_row: cache row of the first count; the others follow, unless `scattered` says which they are.
        scattered: the cache row of each count, no two the same, where they are not consecutive; such a batch is for
            draftpick's own decoder.
        picks: what to pick from the logits of all tokens where the pass runs by one of few programs, which ends in
            that; others leave it to the engine.
    """

    token_ids: torch.Tensor
    counts: Sequence[int]
    first_row: int = 0
    scattered: Sequence[int] | None = None
    picks: AskedPicks | None = None

    @property
    def rows(self) -> Sequence[int]:
        """Cache row of each count."""
        return range(self.first_row, self.first_row + len(self.counts)) if self.scattered is None else self.scattered

    @classmethod
    def in_rows(cls, token_ids: torch.Tensor, counts: Sequence[int], rows: Sequence[int]) -> "TokenBatch":
        """Make a batch of tokens in these rows, in whatever order they are."""
        is_run = len(rows) == 1 or all(row == rows[0] + i for i, row in enumerate(rows))
        return cls(token_ids, counts, rows[0], None if is_run else rows)

    @classmethod
    def of(cls, tokens: Sequence[Sequence[int]], device: torch.device, first_row: int = 0) -> "TokenBatch":
        """Make a batch of these rows' tokens."""
        if len(tokens) == 1:
            flat, counts = tokens[0], [len(tokens[0])]
        else:
            flat, counts = [*chain.from_iterable(tokens)], [len(row) for row in tokens]
        token_ids = torch.from_numpy(np.array(flat, np.int64))  # half the time of torch.tensor
        return cls(without_waiting(token_ids, device), counts, first_row)
