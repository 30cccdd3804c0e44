"""torch's products by 4-bit weights: one for a CPU, one for a card, with the same blocks, scales and middles."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

_CARD_TILE = 8  # outputs that the card's kernel computes together
_MOST_CARD_TILES = 65535  # blocks on a grid's second side


@dataclass(frozen=True, slots=True)
class Int4Kernel:
    """How one kind of device lays out levels and multiplies by them.

    Both kernels read `(level - 8) * scale + middle`, in bfloat16 with float32 sums, blocks of 32 sharing a scale.

    Attributes:
        rows: outputs come in whole tiles of so many; a matrix is filled up with rows of zeros.
        pack: lays out (out, in) uint8 levels in 0..15, whose rows it keeps in order.
        product: of (n, in) bfloat16 rows, packed levels, the size of a block, and (in / 32, out, 2) bfloat16 scales
            and middles; (n, out) bfloat16.
    """

    rows: int
    pack: Callable[[torch.Tensor], torch.Tensor]
    product: Callable[[torch.Tensor, torch.Tensor, int, torch.Tensor], torch.Tensor]


def int4_kernel(device: torch.device, n_rows: int) -> Int4Kernel:
    """Return the kernel that multiplies by (n_rows, in) 4-bit weights on a device.

    Raises:
        ValueError: if the device is neither the CPU nor a card, or the card's kernel does not take so many rows.
    """
    if device.type == "cpu":
        return _ON_CPU
    if device.type != "cuda":
        raise ValueError(f"4-bit weights need the CPU or a CUDA card, got {device}")
    if n_rows > _CARD_TILE * _MOST_CARD_TILES:
        raise ValueError(
            f"4-bit weights on a card need out_features at most {_CARD_TILE * _MOST_CARD_TILES}, got {n_rows}; use "
            "weights='int4', which keeps the head dense, or weights='dense'"
        )
    return _ON_CARD


def _pack_on_cpu(levels: torch.Tensor) -> torch.Tensor:
    packed: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu.default(levels.int(), 1)
    return packed


def _pack_on_card(levels: torch.Tensor) -> torch.Tensor:
    """Pack two levels a byte, the first in its upper half, in as many tiles of 16 at once as the row's length allows.

    Source: PyTorch, aten/src/ATen/native/cuda/int4mm.cu, `_convert_weight_to_int4pack_cuda`.
    """
    n_tiles = next(n for n in (8, 4, 2) if levels.shape[1] % (16 * n) == 0)
    halves = levels[:, ::2] << 4 | levels[:, 1::2]
    packed: torch.Tensor = torch.ops.aten._convert_weight_to_int4pack.default(halves, n_tiles)
    return packed


def _multiply_on_cpu(x: torch.Tensor, packed: torch.Tensor, block: int, constants: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu.default(x, packed, block, constants)
    return result


def _multiply_on_card(x: torch.Tensor, packed: torch.Tensor, block: int, constants: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = torch.ops.aten._weight_int4pack_mm.default(x.contiguous(), packed, block, constants)
    return result


_ON_CPU = Int4Kernel(32, _pack_on_cpu, _multiply_on_cpu)
_ON_CARD = Int4Kernel(_CARD_TILE, _pack_on_card, _multiply_on_card)
