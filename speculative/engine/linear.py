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
