"""What torch computes on a card alone, as operations that a pretended card can run: 4-bit weights."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

_OUTPUTS, _INPUTS, _LANES = 8, 16, 32  # of a tile, and threads that share it
_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # levels of a lane's eight, from the lowest four bits of its integer on


@contextmanager
def int4_on_card() -> Iterator[None]:
    """Give torch's two operations on 4-bit weights a form for CPU tensors, in the layout that the card's kernels have.

    Source: PyTorch, aten/src/ATen/native/cuda/int4mm.cu.
    """
    library = torch.library.Library("aten", "IMPL")
    library.impl("_convert_weight_to_int4pack", pack, "CPU")
    library.impl("_weight_int4pack_mm", multiply, "CPU")
    try:
        yield
    finally:
        del library  # which takes them back


def pack(halves: torch.Tensor, n_tiles: int) -> torch.Tensor:
    """Lay (out, in / 2) pairs of levels out as (out / 8, in / 16 / n_tiles, 32, n_tiles / 2) int32."""
    assert halves.dtype == torch.uint8
    assert halves.is_contiguous()
    assert len(halves) % _OUTPUTS == 0
    assert 2 * halves.shape[1] % (_INPUTS * n_tiles) == 0
    levels = torch.stack([halves >> 4, halves & 15], dim=2).flatten(1).long()
    lanes = levels[_places(len(levels), levels.shape[1], n_tiles)][..., list(_ORDER)]
    packed = (lanes << (4 * torch.arange(8))).sum(-1)
    return (packed - (packed >> 31 << 32)).int()  # the upper half of what 32 bits hold is negative


def multiply(x: torch.Tensor, packed: torch.Tensor, block: int, constants: torch.Tensor) -> torch.Tensor:
    """Multiply (n, in) bfloat16 rows by packed levels; scales and middles (in / block, out, 2) bfloat16."""
    assert (x.dtype, constants.dtype, packed.dtype) == (torch.bfloat16, torch.bfloat16, torch.int32)
    n_out, n_in = _OUTPUTS * len(packed), x.shape[1]
    assert constants.shape == (n_in // block, n_out, 2)
    assert packed.shape[1] * packed.shape[3] * 2 * _INPUTS == n_in
    levels = torch.empty(n_out, n_in)
    lanes = torch.empty(*packed.shape, 8)
    lanes[..., list(_ORDER)] = (packed.long()[..., None] >> (4 * torch.arange(8)) & 15).float()
    levels[_places(n_out, n_in, 2 * packed.shape[3])] = lanes
    scales, middles = constants.float().repeat_interleave(block, 0).permute(2, 1, 0)
    weight = ((levels - 8) * scales + middles).bfloat16()
    return (x.float() @ weight.float().T).bfloat16()


def _places(n_out: int, n_in: int, n_tiles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return outputs and inputs of the eight levels of each packed integer, in the order of a row."""
    tile, outer, lane, pair, level = torch.meshgrid(
        *map(torch.arange, (n_out // _OUTPUTS, n_in // _INPUTS // n_tiles, _LANES, n_tiles // 2, 8)), indexing="ij"
    )
    inputs = (outer * n_tiles + 2 * pair + level // 4) * _INPUTS
    return tile * _OUTPUTS + lane // 4, inputs + lane % 4 * 2 + level // 2 % 2 * 8 + level % 2
