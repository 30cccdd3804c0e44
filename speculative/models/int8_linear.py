"""A matrix product with weights and activations at 8 bits: for the head of a 4-bit model."""

from collections.abc import Callable

import torch

from speculative.models.kernels.plan import SAFE_PLAN, KernelPlan
from speculative.models.largest_results import refine_largest
from speculative.models.weight_blocks import Matrix, WeightBlocks, float_rows


class Int8Linear:
    """`Linear` with weights at 8 bits, one scale a row, and float32 results: for the head of a 4-bit model.

    A quarter of float32's memory traffic. Each row of activations is split into two rows of 8 bits, the second holding
    what the first rounds away, so that of the product's error (1.2 % of SmolLM2's head by weight, 3e-5 by arithmetic)
    only the weights' part counts. Where the weight comes in blocks, the largest results, of which the next token is
    one, are computed again in float32 from the blocks, which have more scales, and are right. Sums are integers: a
    row's product does not depend on how many rows are computed together.

    Args:
        weight: (out_features, in_features) on a CPU that `supported` accepts.
        plan: of no matter here.
    """

    N_EXACT = 32  # results of a row that are computed again
    _SLAB = 1024  # rows that are rounded at once
    _PART = 2**15  # rows that are packed at once: what a part is packed from is freed before the next
    _N_PROBED = 64  # inputs of the product that `supported` tries

    def __init__(self, weight: Matrix, plan: KernelPlan = SAFE_PLAN) -> None:
        self._blocks = weight if isinstance(weight, WeightBlocks) else None
        rounded = [self._rounded(weight, begin) for begin in range(0, len(weight), self._PART)]
        self._parts = [(*part, torch.zeros(len(part[1]), dtype=torch.int32)) for part in rounded]
        self._product: Callable[..., torch.Tensor] = torch.ops.onednn.qlinear_pointwise.default

    @staticmethod
    def supported() -> bool:
        """Whether the largest 8-bit integers are multiplied without saturating here.

        A CPU's flags would not tell: oneDNN may be held to an older instruction set, whose sums of two products
        saturate at 16 bits.
        """
        has_onednn: bool = torch._C._has_mkldnn
        if not has_onednn:
            return False
        row = torch.full((1, Int8Linear._N_PROBED), 127.0)
        return bool((Int8Linear(row.expand(32, -1))(row) == Int8Linear._N_PROBED * 127**2).all())

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features) float32."""
        n, widest = len(x), x.abs().amax(1, keepdim=True).float().clamp_min(1e-30)
        scaled = x.float() * (127 / widest)
        coarse = scaled.round()
        fine = ((scaled - coarse) * 254).round()  # in -127..127
        both = (torch.cat([coarse, fine]) + 128).to(torch.uint8)
        products = [
            self._product(both, 1.0, 128, *part, None, 1.0, 0, torch.float32, "none", [], "") for part in self._parts
        ]
        both_rows = products[0] if len(products) == 1 else torch.cat(products, dim=1)
        results = (both_rows[:n] + both_rows[n:] / 254) * (widest / 127)
        if self._blocks is not None:
            refine_largest(results, x, self._blocks, self.N_EXACT)
        return results

    def _rounded(self, weight: Matrix, first: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Round a part of the rows, a slab's floats at a time; packed levels and scales."""
        levels, scales = [], []
        last = min(first + self._PART, len(weight))
        for begin in range(first, last, self._SLAB):
            rows = float_rows(weight, slice(begin, min(begin + self._SLAB, last)))
            scales.append(rows.abs().amax(1).clamp_min(1e-30) / 127)
            levels.append((rows / scales[-1][:, None]).round_().to(torch.int8))
        return torch.ops.onednn.qlinear_prepack(torch.cat(levels), None), torch.cat(scales)
