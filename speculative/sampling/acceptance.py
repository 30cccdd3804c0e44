"""How much of each request's draft is accepted, and the token after it, found where the picks are."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from itertools import accumulate

import torch
from torch import Tensor

from speculative.sampling.kernels import kernel_like
from speculative.sampling.pinned import without_waiting

NO_PICK = -1
"""From a row that allows none."""

Accept = Callable[[Tensor, Tensor, Tensor, Sequence[int]], Tensor]


def accepted_of_rows(picks: Tensor, largest: Tensor, tokens: Tensor, counts: Sequence[int]) -> Tensor:
    """Accept of each request the draft tokens that equal its picks, up to the first that does not, without waiting.

    Args:
        picks: (n,) int64, of all requests' rows: after the text, and after each draft token.
        largest: (n,) float, each row's largest logit; a row where it is not finite allows no pick.
        tokens: (n,) int64, of each request its text's last token, then its draft tokens.
        counts: rows of each of the b requests, w at most.

    Returns:
        (b, w + 1) int64: how many are accepted; the token after them, `NO_PICK` where its row allows none; w - 1 draft
        tokens, and after a request's last one anything.
    """
    return (_kernel(picks.device) or accepted_by_torch)(picks, largest, tokens, counts)


def accepted_by_torch(picks: Tensor, largest: Tensor, tokens: Tensor, counts: Sequence[int]) -> Tensor:
    """Do so by a list of operations that only the counts decide; arguments as in `accepted_of_rows`."""
    b, width = len(counts), max(counts)
    allowed = torch.where(largest.abs() < math.inf, picks, NO_PICK)
    if width == 1:
        return torch.stack([torch.zeros_like(allowed), allowed], 1)
    if min(counts) == width:
        allowed, drafted, n_drafted = allowed.view(b, width), tokens.view(b, width)[:, 1:], None
    else:
        firsts = accumulate(counts[:-1], initial=0)
        rows = [
            [*(first + min(i, n - 1) for i in range(width)), n - 1] for first, n in zip(firsts, counts, strict=True)
        ]
        table = without_waiting(torch.tensor(rows), picks.device)
        allowed, drafted, n_drafted = allowed[table[:, :-1]], tokens[table[:, 1:-1]], table[:, -1:]
    return _accepted(allowed, drafted, n_drafted)


def accepted_of_rectangle(picks: Tensor, largest: Tensor, tokens: Tensor, n_drafted: Tensor) -> Tensor:
    """Do so where every request has w rows, and the device alone knows how many of them count.

    Args:
        picks: (b * w,) int64, see `accepted_of_rows`.
        largest: (b * w,) float, as there.
        tokens: (b * w,) int64, as there; after a request's last draft token anything.
        n_drafted: (b,) int64, draft tokens of each request, in [0, w).

    Returns:
        (b, w + 1) int64, as there.
    """
    b = len(n_drafted)
    allowed = torch.where(largest.abs() < math.inf, picks, NO_PICK).view(b, -1)
    return _accepted(allowed, tokens.view(b, -1)[:, 1:], n_drafted[:, None])


def _accepted(allowed: Tensor, drafted: Tensor, n_drafted: Tensor | None) -> Tensor:
    """Accept of (b, w) picks and (b, w - 1) draft tokens; of (b, 1) draft tokens at most, None for all."""
    n_accepted = (allowed[:, :-1] == drafted).cumprod(1).sum(1, keepdim=True)
    if n_drafted is not None:
        n_accepted = torch.minimum(n_accepted, n_drafted)
    return torch.cat([n_accepted, allowed.gather(1, n_accepted), drafted], 1)


@cache
def _kernel(device: torch.device) -> Accept | None:
    def load() -> Accept:
        from speculative.sampling.triton_acceptance import accepted_by_kernel

        return accepted_by_kernel

    picks, largest = torch.tensor([5, 6, 7, 8, 9, 4]), torch.tensor([1.0, 1.0, 1.0, 1.0, math.nan, 1.0])
    return kernel_like(accepted_by_torch, load, device, picks, largest, torch.tensor([0, 5, 1, 2, 8, 3]), [3, 3])
