"""The results of a product that matter most, computed again from weights that were rounded less."""

import torch

from speculative.models.weight_blocks import Matrix, float_rows

_AT_ONCE = 2048  # results computed again together, each from a row of the weight: what bounds the memory


def refine_largest(results: torch.Tensor, x: torch.Tensor, weight: Matrix, n_largest: int) -> None:
    """Compute the largest results of each row of `x @ weight.T` again in float32, in place.

    Args:
        results: (n, out_features) float32, as a coarser product gave them.
        x: (n, in_features), of any float type.
        weight: (out_features, in_features).
        n_largest: results of a row that are computed again; all, where there are fewer.
    """
    n_rows = max(1, _AT_ONCE // n_largest)
    for part, rows in zip(torch.split(results, n_rows), torch.split(x, n_rows), strict=True):
        largest = part.topk(min(n_largest, part.shape[1]), sorted=False).indices
        weights = float_rows(weight, largest.flatten()).view(*largest.shape, -1)
        part.scatter_(1, largest, (weights * rows[:, None].float()).sum(-1))
