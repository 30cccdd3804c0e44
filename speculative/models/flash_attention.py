"""Attention of ragged rows by torch's flash kernel on a card: lengths that live there, nothing padded, no mask."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting

HALVES = (torch.bfloat16, torch.float16)
"""The dtypes that flash kernels take."""
_PAGE = 256  # a row of the cache is one page to the kernel, whose length must be a multiple of this
_TRIED = ((2, 300, 3), (0, 0, 1))  # row of the cache, tokens held, new tokens
_TOLERANCE = 0.02  # of results below 1 in half precision
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FlashRows:
    """What the kernel asks of a pass, on the device.

    Attributes:
        query_begins: (b + 1,) int32, where each row's new tokens begin among the n of the pass, and n.
        key_begins: (b + 1,) int32, the same of the keys that the rows see.
        n_keys: (b,) int32, keys that each row sees.
        pages: (b, 1) int32, the row of the cache.
        width: the most new tokens of a row.
        kv_length: keys of the longest row.
    """

    query_begins: torch.Tensor
    key_begins: torch.Tensor
    n_keys: torch.Tensor
    pages: torch.Tensor
    width: int
    kv_length: int

    @classmethod
    def of(cls, batch: TokenBatch, starts: Sequence[int]) -> "FlashRows":
        """Return what a pass asks for, by one copy to the device.

        Args:
            batch: the new tokens.
            starts: tokens that each of its rows holds before them.
        """
        counts = torch.tensor([0, *batch.counts])
        n_keys = torch.tensor([0, *starts]) + counts
        rows = torch.tensor([0, *batch.rows])
        columns = torch.stack([counts.cumsum(0), n_keys.cumsum(0), n_keys, rows]).int()
        query_begins, key_begins, lengths, pages = without_waiting(columns, batch.token_ids.device).unbind(0)
        return cls(query_begins, key_begins, lengths[1:], pages[1:, None], max(batch.counts), int(n_keys.max()))


def attend_flash(queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, rows: FlashRows) -> torch.Tensor:
    """Attention of a pass's (n, h, hd) queries over one layer's (rows, h_kv, capacity, hd) keys: (n, h * hd)."""
    from torch.nn.attention.varlen import varlen_attn  # of a torch that has it, see `has_flash`

    mixed = varlen_attn(
        queries,
        keys.transpose(1, 2),
        values.transpose(1, 2),
        rows.query_begins,
        rows.key_begins,
        rows.width,
        rows.kv_length,
        window_size=(-1, 0),
        enable_gqa=True,
        seqused_k=rows.n_keys,
        block_table=rows.pages,
    )
    assert isinstance(mixed, torch.Tensor)
    return mixed.flatten(1)


def fits_pages(capacity: int) -> bool:
    """Whether the kernel takes the rows of a cache of so many tokens."""
    return capacity % _PAGE == 0


@torch.inference_mode()
def has_flash(dtype: torch.dtype, device: torch.device, n_groups: int, head_dim: int) -> bool:
    """Whether torch attends over ragged rows of a cache there as the formula says; tried once, with two rows.

    Args:
        dtype: of queries, keys and values.
        device: theirs.
        n_groups: query heads that share a key head.
        head_dim: features of a head.
    """
    if device.type != "cuda" or dtype not in HALVES:
        return False
    rows, starts, counts = zip(*_TRIED, strict=True)
    store = torch.arange(2 * 3 * 2 * 2 * _PAGE * head_dim, device=device).sin().to(dtype)
    keys, values = store.view(2, 3, 2, 2 * _PAGE, head_dim).unbind(0)
    queries = keys[0, :, : n_groups * sum(counts)].reshape(sum(counts), 2 * n_groups, head_dim)
    pages = FlashRows.of(TokenBatch.in_rows(torch.zeros(sum(counts), device=device), counts, rows), starts)
    try:
        found = attend_flash(queries, keys, values, pages)
    except (ImportError, TypeError, RuntimeError) as error:  # an older torch, or a card that it has no kernel for
        _log.info("attention with masks on %s, as flash attention over ragged rows is not to be had: %s", device, error)
        return False
    n, expected = 0, []
    for row, start, count in _TRIED:
        for i in range(count):
            k, v = (store[row, :, : start + i + 1].float().repeat_interleave(n_groups, 0) for store in (keys, values))
            scores = (k @ queries[n + i].float()[..., None])[..., 0] / head_dim**0.5
            expected.append((scores.softmax(-1)[:, None] @ v).flatten())
        n += count
    if not (found.float() - torch.stack(expected)).abs().max() < _TOLERANCE:  # NaN neither
        _log.warning("attention with masks on %s, as its flash attention over ragged rows gives something else", device)
        return False
    return True
