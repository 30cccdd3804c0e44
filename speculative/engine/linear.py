"""A matrix product laid out for decoding: few rows, each reading every weight once."""

from collections.abc import Callable

import torch
from torch.nn import functional


class Linear:
    """`x @ weight.T + bias`, with weights prepacked by oneDNN where that applies (CPU, float32).

    Prepacked weights make a pass over up to about 16 rows cost little more than a pass over one: the weights
    are then read once, in the order the kernel wants them. `add` and `multiply` fold the next element-wise
    operation into the product. oneDNN's own silu is not used: it is an approximation, off by more than rounding.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.out_features, self.in_features = weight.shape
        self._bias = bias
        self._weight = weight.contiguous()
        has_onednn: bool = torch._C._has_mkldnn
        self._packed = has_onednn and weight.device.type == "cpu" and weight.dtype == torch.float32
        if self._packed:
            self._weight = torch.ops.mkldnn._reorder_linear_weight(self._weight)
            self._product: Callable[..., torch.Tensor] = torch.ops.mkldnn._linear_pointwise.default
            self._fused: Callable[..., torch.Tensor] = torch.ops.mkldnn._linear_pointwise.binary

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features)."""
        if self._packed:
            return self._product(x, self._weight, self._bias, "none", [], "")
        return functional.linear(x, self._weight, self._bias)

    def multiply(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Product of the mapped rows with `other`, both (n, out_features)."""
        if self._packed:
            return self._fused(x, other, self._weight, self._bias, "mul")
        return functional.linear(x, self._weight, self._bias) * other

    def add(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Sum of the mapped rows and `other`, both (n, out_features)."""
        if self._packed:
            return self._fused(x, other, self._weight, self._bias, "add")
        return functional.linear(x, self._weight, self._bias) + other


class Int4Linear:
    """`Linear` with weights kept at 4 bits: blocks of 32 share a scale and a zero point.

    A fifth of float32's memory traffic, for products that differ: weights are rounded to 16 levels a block, activations
    and scales to bfloat16. Right for drafts, whose guesses are verified; a row's product does not depend on how many
    rows are computed together.

    Args:
        weight: (out_features, in_features) on the CPU; in_features a multiple of 32.
        bias: (out_features,) or None.

    Raises:
        ValueError: if the weight is elsewhere, or in_features is no multiple of 32.
    """

    BLOCK = 32
    ROWS = 32  # the kernel wants whole tiles of outputs

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self.out_features, self.in_features = weight.shape
        if weight.device.type != "cpu" or self.in_features % self.BLOCK:
            raise ValueError(
                f"4-bit weights need the CPU and in_features a multiple of {self.BLOCK}, got {weight.device} and "
                f"{self.in_features}"
            )
        self._bias = bias
        filled = functional.pad(weight.float(), (0, 0, 0, -self.out_features % self.ROWS))
        blocks = filled.view(len(filled), -1, self.BLOCK)  # (out, in / 32, 32)
        low, high = blocks.amin(-1, keepdim=True), blocks.amax(-1, keepdim=True)
        scale = ((high - low) / 15).clamp_min(1e-10)
        levels = ((blocks - low) / scale).round().clamp(0, 15).to(torch.int32).flatten(1)
        self._weight = torch.ops.aten._convert_weight_to_int4pack_for_cpu(levels, 1)
        scales = torch.cat([scale, low + 8 * scale], dim=-1)  # the kernel computes (level - 8) * scale + zero
        self._scales = scales.transpose(0, 1).contiguous().bfloat16()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Map (n, in_features) to (n, out_features)."""
        product = torch.ops.aten._weight_int4pack_mm_for_cpu(x.bfloat16(), self._weight, self.BLOCK, self._scales)
        result: torch.Tensor = product[:, : self.out_features].to(x.dtype)
        return result if self._bias is None else result + self._bias

    def multiply(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Product of the mapped rows with `other`, both (n, out_features)."""
        return self(x) * other

    def add(self, x: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Sum of the mapped rows and `other`, both (n, out_features)."""
        return self(x) + other
