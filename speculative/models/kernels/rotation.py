"""Rotary position embedding of pairs that lie side by side, in the forms that a plan chooses among."""

from collections.abc import Callable, Mapping

import torch

from speculative.models.kernels.plan import Rotation

Rotate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Maps heads (n, h, hd) and rotations (n, 1, hd / 2) complex64 to (n, h, hd) of the heads' dtype."""


def complex_product(heads: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Turn each pair of features by its position's angle, as one product of complex numbers.

    Source: Su et al. 2021, equation 13 (arXiv:2104.09864).
    """
    pairs = torch.view_as_complex(heads.float().view(*heads.shape[:2], -1, 2))
    return torch.view_as_real(pairs * rotations).flatten(-2).to(heads.dtype)


def real_products(heads: torch.Tensor, rotations: torch.Tensor) -> torch.Tensor:
    """Turn each pair of features by its position's angle, with real numbers: (a c - b s, a s + b c)."""
    pairs = heads.float().view(*heads.shape[:2], -1, 2)
    cosine, sine = torch.view_as_real(rotations).unbind(-1)
    first, second = pairs.unbind(-1)
    turned = torch.stack([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
    return turned.flatten(-2).to(heads.dtype)


ROTATIONS: Mapping[Rotation, Rotate] = {"complex": complex_product, "real": real_products}
