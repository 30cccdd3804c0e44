"""Acceptance of a batch as one Triton kernel, for a card: a dozen launches over few numbers without it."""

from collections.abc import Sequence
from itertools import accumulate

import torch
import triton
import triton.language as tl

from speculative.sampling.pinned import without_waiting


@triton.jit
def _accept(picks, largest, tokens, table, out, width: tl.constexpr):
    """Count one request's draft tokens that equal its picks, and write the count, the pick after them, the tokens."""
    request, i = tl.program_id(0), tl.arange(0, width)
    first, n = tl.load(table + 2 * request), tl.load(table + 2 * request + 1)
    value = tl.load(largest + first + i, mask=i < n, other=0.0)
    pick = tl.load(picks + first + i, mask=i < n, other=0)
    pick = tl.where(tl.abs(value) < float("inf"), pick, -1)
    token = tl.load(tokens + first + 1 + i, mask=i < n - 1, other=0)
    n_accepted = tl.min(tl.where((pick == token) & (i < n - 1), width, i), axis=0)
    place = out + request * (width + 1)
    tl.store(place, n_accepted.to(tl.int64))
    tl.store(place + 1, tl.sum(tl.where(i == n_accepted, pick, 0), axis=0))
    tl.store(place + 2 + i, token, mask=i < width - 1)


def accepted_by_kernel(
    picks: torch.Tensor, largest: torch.Tensor, tokens: torch.Tensor, counts: Sequence[int]
) -> torch.Tensor:
    """Return what `accepted_of_rows` does, arguments as there; after a request's last draft token 0."""
    firsts, width = accumulate(counts[:-1], initial=0), triton.next_power_of_2(max(counts))
    table = without_waiting(torch.tensor([*zip(firsts, counts, strict=True)]), picks.device)
    out = picks.new_empty(len(counts), width + 1)
    _accept[(len(counts),)](picks, largest, tokens, table, out, width)
    return out[:, : max(counts) + 1]
