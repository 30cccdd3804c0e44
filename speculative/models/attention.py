"""Attention of a pass over ragged rows: where its tokens stand, which keys they see, and the product itself."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch.nn import functional

from speculative.models.flash_attention import HALVES, FlashRows, attend_flash
from speculative.protocols.kv_cache import Slots
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting

Apart = Literal["ragged", "none", "rows", "tokens"]

_STEP = 64  # tokens of a prompt that attend in one call on a CPU: it computes hidden keys too, fewer in short steps
_CACHE_LINE = 64  # bytes; tensors begin on one
_MASK_STEP = 8  # a card's kernel takes rows of a mask that begin at a multiple of this, and copies any other


@dataclass(frozen=True, slots=True)
class AttentionPart:
    """Consecutive tokens of a pass that one call attends for.

    Query heads that share a key head are folded into the query length, so keys are never repeated.

    Attributes:
        tokens: which of the pass's tokens.
        rows: their rows of the cache, b of them; a tensor of them, by which keys are copied, where they are scattered.
        n_rows: b.
        width: the most tokens of one row, t.
        kv_length: keys of the longest row.
        padded: (n,) int64, each token's place among b * t; None where every row has t of them.
        mask: additive, (b, 1, groups * t, kv_length); None where every query sees every key, or `is_causal`.
        is_causal: whether the tokens are the first of their row, each of which sees itself and those before.
    """

    tokens: slice
    rows: slice | torch.Tensor
    n_rows: int
    width: int
    kv_length: int
    padded: torch.Tensor | None = None
    mask: torch.Tensor | None = None
    is_causal: bool = False


class Plan(Protocol):
    """What a pass asks of attention, settled once for all layers; see `AttentionPlan` and `StaticPlan`.

    Attributes:
        positions: (n,) int64, each token's place in its text.
        slots: where its key and value go.
        flash: what the flash kernel asks for, where it attends.
        parts: the calls otherwise, in the order of the tokens.
        n_groups: query heads that share a key head.
        apart: what is attended for one by one.
    """

    positions: torch.Tensor
    slots: Slots
    flash: FlashRows | None
    parts: list[AttentionPart]
    n_groups: int
    apart: Apart


class AttentionPlan:
    """Positions, cache slots and masks of a pass, settled once for all layers.

    Args:
        batch: the new tokens.
        starts: tokens that each of its rows holds before them.
        n_groups: query heads that share a key head.
        dtype: of the masks.
        apart: what is attended for one by one. "ragged": one call for all, without padding, by a flash kernel, see
            `has_flash`. "none": one call for all, in which shorter rows are padded; for a device on which calls cost
            more than padding. "rows": no padding, which costs less on a CPU where rows differ in length, and long rows
            in steps. "tokens": a token's result cannot depend on what else is in the pass.

    Attributes:
        positions: (n,) int64, each token's place in its text.
        slots: where its key and value go.
        flash: what the flash kernel asks for, where it attends.
        parts: the calls otherwise, in the order of the tokens.
        n_groups: as given.
        apart: as given.
    """

    def __init__(
        self, batch: TokenBatch, starts: Sequence[int], n_groups: int, dtype: torch.dtype, apart: Apart
    ) -> None:
        starts, counts, rows_of = list(starts), list(batch.counts), list(batch.rows)
        self.n_groups, self._dtype = n_groups, dtype
        self.apart: Apart = apart
        self.positions, self.slots = places(batch, starts)
        self.flash = FlashRows.of(batch, starts) if apart == "ragged" else None
        if self.flash is not None:
            pieces = []
        elif apart == "none":
            pieces = [(rows_of, starts, counts)]
        else:
            step = 1 if apart == "tokens" else _STEP
            pieces = [([row], [start], [n]) for row, start, n in _steps(rows_of, starts, counts, step)]
        self.parts: list[AttentionPart] = []
        n_tokens = 0
        for piece in pieces:
            tokens = slice(n_tokens, n_tokens + sum(piece[2]))
            self.parts.append(self._part(tokens, *piece))
            n_tokens = tokens.stop

    def _part(self, tokens: slice, rows_of: list[int], starts: Sequence[int], counts: Sequence[int]) -> AttentionPart:
        """Make one part of some rows."""
        device, n_rows, width = self.positions.device, len(counts), max(counts)
        kv_length = max(start + count for start, count in zip(starts, counts, strict=True))
        rows: slice | torch.Tensor = slice(rows_of[0], rows_of[0] + n_rows)
        if n_rows > 1 and rows_of != [*range(rows_of[0], rows_of[0] + n_rows)]:
            rows = without_waiting(torch.tensor(rows_of), device)
        if n_rows == 1 and width == 1:
            return AttentionPart(tokens, rows, 1, 1, kv_length)
        if n_rows == 1 and starts[0] == 0 and device.type != "cpu" and self._dtype in HALVES:
            return AttentionPart(tokens, rows, 1, width, kv_length, is_causal=True)
        padded = None
        if min(counts) < width:
            in_row, offsets = _rectangle(counts)
            padded = without_waiting(in_row * width + offsets, device)
        if n_rows == 1:
            last_seen = torch.arange(starts[0], kv_length, device=device)[None]  # (b, t)
        else:
            last_seen = without_waiting(torch.tensor(starts)[:, None] + torch.arange(width), device)
        n_keys = kv_length if device.type == "cpu" else -(-kv_length // _MASK_STEP) * _MASK_STEP
        hidden = torch.arange(n_keys, device=device) > last_seen[..., None]
        mask = torch.zeros(hidden.shape, dtype=self._dtype, device=device).masked_fill_(hidden, float("-inf"))
        mask = mask.repeat(1, self.n_groups, 1)[:, None, :, :kv_length]
        return AttentionPart(tokens, rows, n_rows, width, kv_length, padded, mask)


def places(batch: TokenBatch, starts: Sequence[int]) -> tuple[torch.Tensor, Slots]:
    """Return where a pass's tokens stand in their texts, (n,) int64, and where their keys and values go.

    Args:
        batch: the new tokens.
        starts: tokens that each of its rows holds before them.
    """
    device, counts = batch.token_ids.device, list(batch.counts)
    if len(counts) == 1:
        end = starts[0] + counts[0]
        return torch.arange(starts[0], end, device=device), Slots(batch.rows[0], slice(starts[0], end))
    rows, offsets = _rectangle(counts)
    positions = without_waiting(torch.tensor(starts)[rows] + offsets, device)
    return positions, Slots(without_waiting(torch.tensor(batch.rows)[rows], device), positions)


def attend(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Attention of a pass's (n, h, hd) queries over one layer's (rows, h_kv, capacity, hd) keys: (n, h * hd)."""
    if plan.flash is not None:
        return attend_flash(queries, keys, values, plan.flash)
    if len(plan.parts) == 1:
        return _attend_part(queries, keys, values, plan.parts[0], plan.n_groups)
    pieces = [queries[part.tokens] for part in plan.parts]
    if queries.stride(0) * queries.element_size() % _CACHE_LINE:  # a product may depend on where its operands begin
        pieces = [piece.clone() for piece in pieces]
    mixed = [
        _attend_part(piece, keys, values, part, plan.n_groups) for piece, part in zip(pieces, plan.parts, strict=True)
    ]
    return torch.cat(mixed)


def _attend_part(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, part: AttentionPart, g: int
) -> torch.Tensor:
    _, n_heads, head_dim = queries.shape
    b, t = part.n_rows, part.width
    if part.is_causal:
        mixed = functional.scaled_dot_product_attention(
            queries[None].transpose(1, 2),
            keys[part.rows, :, :t],
            values[part.rows, :, :t],
            is_causal=True,
            enable_gqa=g > 1,
        )
        return mixed.transpose(1, 2).reshape(t, n_heads * head_dim)
    if part.padded is not None:
        queries = queries.new_zeros(b * t, n_heads, head_dim).index_copy_(0, part.padded, queries)
    folded = queries.view(b, t, -1, g, head_dim)
    folded = folded[:, 0] if t == 1 else folded.permute(0, 2, 3, 1, 4).reshape(b, -1, g * t, head_dim)
    mixed = functional.scaled_dot_product_attention(
        folded,
        keys[:, :, : part.kv_length][part.rows],
        values[:, :, : part.kv_length][part.rows],
        attn_mask=part.mask,
    )
    if t == 1:
        return mixed.reshape(b, n_heads * head_dim)
    flat = mixed.view(b, -1, g, t, head_dim).permute(0, 3, 1, 2, 4).reshape(b * t, n_heads * head_dim)
    return flat if part.padded is None else flat[part.padded]


def _steps(
    rows: Sequence[int], starts: Sequence[int], counts: Sequence[int], step: int
) -> Iterator[tuple[int, int, int]]:
    """Row, position and number of the tokens of every step of so many."""
    for row, start, count in zip(rows, starts, counts, strict=True):
        yield from ((row, start + i, min(step, count - i)) for i in range(0, count, step))


def _rectangle(counts: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and place in it of every token, (n,) int64 each."""
    rows = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    begins = torch.tensor([0, *counts[:-1]]).cumsum(0)
    return rows, torch.arange(len(rows)) - begins[rows]
