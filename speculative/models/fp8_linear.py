"""A matrix product with weights and activations as 8-bit floats: for the layers of a model on a card."""

import torch

from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.linear import HalfLinear
from speculative.models.weight_blocks import Matrix, WeightBlocks

_FP8 = torch.float8_e4m3fn
_LARGEST = torch.finfo(_FP8).max  # 448
_TILE = 16  # the kernels want sizes in multiples of so many


class Fp8Linear(HalfLinear):
    """`Linear` with weights as float8_e4m3fn, one scale a row, and rows of activations rounded likewise.

    Half of bfloat16's memory traffic. Each number keeps 4 significant bits (3 of them stored), in weights and in
    activations: of a product of random numbers that is 3 to 4 % off (root mean square). Sums are float32's, results
    bfloat16's. On a card rounding the rows takes five small launches a product. A CPU computes it too, slowly.

    Args:
        weight: (out_features, in_features), both multiples of 16; blocks are made dense.
        bias: (out_features,) or None.
        plan: of no matter here.

    Raises:
        ValueError: if a size is no multiple of 16.
    """

    def __init__(self, weight: Matrix, bias: torch.Tensor | None = None, plan: KernelPlan = SAFE_PLAN) -> None:
        weight = weight.dense() if isinstance(weight, WeightBlocks) else weight
        self.out_features, self.in_features = weight.shape
        for name, size in (("out_features", self.out_features), ("in_features", self.in_features)):
            if size % _TILE:
                raise ValueError(f"FP8 weights need {name} a multiple of {_TILE}, got {size}; use weights='dense'")
        rounded, scales = _rounded(weight)
        self._weight, self._scales = rounded.t(), scales.t().contiguous()  # (in, out), columns contiguous; (1, out)
        self._bias = None if bias is None else bias.bfloat16()

    def half(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) bfloat16."""
        rounded, scales = _rounded(x)
        return torch._scaled_mm(rounded, self._weight, scales, self._scales, bias=self._bias, out_dtype=torch.bfloat16)


def _rounded(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round each row to float8 so that its largest number is the largest there is; numbers, and (n, 1) scales."""
    rows = rows.float() if rows.dtype == torch.float64 else rows  # whose norm torch does not give in float32
    largest = torch.linalg.vector_norm(rows, torch.inf, 1, keepdim=True, dtype=torch.float32)
    scales = (largest / _LARGEST).clamp_min_(1e-30)
    return (rows / scales).to(_FP8), scales
