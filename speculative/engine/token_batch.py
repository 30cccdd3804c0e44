"""The tokens of one forward pass: consecutive rows of the cache, each with its own count."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from speculative.engine.kv_cache import Slots


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """New tokens of rows `first_row`, `first_row + 1`, ..., packed one after another without padding.

    Attributes:
        token_ids: (n,) int64, all rows' tokens in row order.
        counts: tokens of each row, each >= 1; they sum to n.
        first_row: cache row of the first count.
    """

    token_ids: torch.Tensor
    counts: Sequence[int]
    first_row: int = 0


class AttentionPlan:
    """Where a pass's tokens stand: positions, cache slots and the mask, built once for all layers.

    Query heads that share a key head are folded into the query length, so keys are never repeated.

    A strict plan names each token's own row and number of keys, so that every token is attended for alone and its
    result cannot depend on what else is in the pass.
    """

    def __init__(
        self,
        batch: TokenBatch,
        starts: Sequence[int],
        n_groups: int,
        dtype: torch.dtype,
        strict: bool = False,
    ) -> None:
        device = batch.token_ids.device
        counts = list(batch.counts)
        self.n_rows, self.width = len(counts), max(counts)
        self.rows = slice(batch.first_row, batch.first_row + self.n_rows)
        self.kv_length = max(start + count for start, count in zip(starts, counts, strict=True))
        self.n_groups = n_groups
        if self.n_rows == 1:
            start = starts[0]
            self.positions = torch.arange(start, start + self.width, device=device)  # (n,)
            self.slots = Slots(batch.first_row, slice(start, start + self.width))
            self.padded: torch.Tensor | None = None
            query_positions = self.positions[None]
        else:
            rows = torch.repeat_interleave(torch.arange(self.n_rows), torch.tensor(counts))
            begins = torch.tensor([0, *counts[:-1]]).cumsum(0)
            offsets = torch.arange(len(rows)) - begins[rows]
            positions = torch.tensor(list(starts))[rows] + offsets
            self.positions = positions.to(device)
            self.slots = Slots((rows + batch.first_row).to(device), self.positions)
            ragged = min(counts) < self.width
            self.padded = (rows * self.width + offsets).to(device) if ragged else None
            query_positions = (torch.tensor(list(starts))[:, None] + torch.arange(self.width)).to(device)
        self.alone = list(_alone(counts, starts)) if strict else None
        self.mask = None if strict else self._mask(query_positions, dtype)

    def _mask(self, query_positions: torch.Tensor, dtype: torch.dtype) -> torch.Tensor | None:
        """Additive mask (b, 1, groups * width, kv_length), or None where every query sees every key."""
        if self.width == 1 and self.n_rows == 1:
            return None
        keys = torch.arange(self.kv_length, device=query_positions.device)
        hidden = keys > query_positions[..., None]  # (b, width, kv)
        mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        mask.masked_fill_(hidden, float("-inf"))
        return mask.repeat(1, self.n_groups, 1)[:, None]


def _alone(counts: Sequence[int], starts: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Row and number of keys of every token of a pass."""
    for row, (count, start) in enumerate(zip(counts, starts, strict=True)):
        yield from ((row, start + i + 1) for i in range(count))
