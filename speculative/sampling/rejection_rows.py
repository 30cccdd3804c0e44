"""Rejection sampling over rows that stay on a card: a fixed list of operations, for none of which the host waits."""

import torch
from torch import Tensor


def drawn_of_rows(weights: Tensor, uniform: float | Tensor) -> Tensor:
    """Draw an index from each of (n, v) float64 weights by inversion of the cumulative ones.

    Args:
        weights: >= 0; an entry of weight 0 is never drawn, unless the row holds NaN or no mass: then any index.
        uniform: in (0, 1), for all rows; or (n,) float64.

    Returns:
        (n,) int64.
    """
    cumulative = weights.cumsum(1)
    total = cumulative[:, -1:].contiguous()
    point = total * (uniform[:, None] if isinstance(uniform, Tensor) else uniform)
    entry = torch.searchsorted(cumulative, point, right=True)
    last = torch.searchsorted(cumulative, total)  # rounding may put the point at the very end
    return torch.minimum(entry, last).clamp(max=weights.shape[1] - 1)[:, 0]


def picked_by_rejection(target_probs: Tensor, draft_tokens: Tensor, draft_probs: Tensor, uniforms: Tensor) -> Tensor:
    """Pick after each draft prefix the draft token where `verify_rejection` accepts it, else what it draws instead.

    Matching draft tokens against these picks gives what it gives: the prefix accepted, and the next token. Where a
    token drawn instead is the draft token itself, which rounding may do, the next row is judged too: exact as well,
    since each row has numbers of its own.

    Args:
        target_probs: (n, v) float64, p after each prefix of each request's draft, its whole draft last.
        draft_tokens: (n,) int64, the draft token that each prefix is followed by; of a whole draft any id below v.
        draft_probs: (n, v) float64, q of each token, 1 at a certain one; zeros where none follows, or none that counts:
            the pick is a draw from p.
        uniforms: (n, 2) float64, by which the token is accepted, and another one drawn.

    Returns:
        (n,) int64; after a row of NaN anything.
    """
    tokens = draft_tokens[:, None]
    p, q = target_probs.gather(1, tokens)[:, 0], draft_probs.gather(1, tokens)[:, 0]
    residual = (target_probs - draft_probs).clamp_min(0.0)
    residual = torch.where(residual.sum(1, keepdim=True) > 0.0, residual, target_probs)
    is_accepted = (q > 0.0) & (uniforms[:, 0] < (p / q).clamp(max=1.0))
    return torch.where(is_accepted, draft_tokens, drawn_of_rows(residual, uniforms[:, 1]))
