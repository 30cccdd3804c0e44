"""Root mean square normalisation, in the forms that a plan chooses among."""

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from speculative.models.kernels.plan import Norm

RmsNorm = Callable[[torch.Tensor, torch.Tensor | None, float], torch.Tensor]
"""Maps (n, ..., d), gains (d,) or None, and epsilon to (n, ..., d) of the same dtype."""


def fused(x: torch.Tensor, gain: torch.Tensor | None, eps: float) -> torch.Tensor:
    """Divide by the root mean square of the last dimension, in torch's own call.

    Source: Zhang and Sennrich 2019, equation 4 (arXiv:1910.07467).
    """
    return functional.rms_norm(x, x.shape[-1:], gain, eps)


def stepwise(x: torch.Tensor, gain: torch.Tensor | None, eps: float) -> torch.Tensor:
    """Divide by the root mean square of the last dimension, from its length and in float32."""
    wide = x.float()
    length = torch.linalg.vector_norm(wide, dim=-1, keepdim=True)
    normed: torch.Tensor = (wide * length.square().div_(x.shape[-1]).add_(eps).rsqrt_()).to(x.dtype)
    return normed if gain is None else normed * gain


NORMS: Mapping[Norm, RmsNorm] = {"fused": fused, "stepwise": stepwise}
