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


def picked_by_rejection(
    target_probs: Tensor,
    draft_tokens: Tensor,
    draft_probs: Tensor | None,
    uniforms: Tensor,
    is_drawn: Tensor | None = None,
) -> Tensor:
    """Pick after each draft prefix the draft token where `verify_rejection` accepts it, else what it draws instead.

    Matching draft tokens against these picks gives what it gives: the prefix accepted, and the next token. Where a
    token drawn instead is the draft token itself, which rounding may do, the next row is judged too: exact as well,
    since each row has numbers of its own.

    Args:
        target_probs: (n, v) float64, p after each prefix of the draft.
        draft_tokens: (n - 1,) int64.
        draft_probs: (n - 1, v) float64, q of each token; None where each was certain.
        uniforms: (n, 2) float64, by which the i-th token is accepted, and another one drawn.
        is_drawn: (n - 1,) bool, which tokens count; where one does not, the pick is a draw from p. None for all.

    Returns:
        (n,) int64; after a row of NaN anything.
    """
    if len(target_probs) == 1:
        return drawn_of_rows(target_probs, uniforms[:, 1])
    p, tokens = target_probs[:-1], draft_tokens[:, None]
    if draft_probs is None:
        ratio, residual = p.gather(1, tokens)[:, 0], p.scatter(1, tokens, 0.0)
    else:
        q = draft_probs if is_drawn is None else torch.where(is_drawn[:, None], draft_probs, 0.0)
        ratio, residual = (p.gather(1, tokens) / q.gather(1, tokens))[:, 0], (p - q).clamp_min(0.0)
    residual = torch.where(residual.sum(1, keepdim=True) > 0.0, residual, p)
    instead = drawn_of_rows(torch.cat([residual, target_probs[-1:]]), uniforms[:, 1])
    is_accepted = uniforms[:-1, 0] < ratio.clamp(max=1.0)
    if is_drawn is not None:
        is_accepted &= is_drawn
    return torch.cat([torch.where(is_accepted, draft_tokens, instead[:-1]), instead[-1:]])
