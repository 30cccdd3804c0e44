"""A matrix of 4-bit or 8-bit weights in blocks that share a scale and a minimum."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

BLOCK = 32  # 4-bit weights that share a scale, in GGUF's Q4_0 and Q4_1 and in PyTorch's kernel alike
BYTE_BLOCK = 16  # 8-bit weights that share one, as in GGUF's Q6_K
LEVELS = 16
_SLAB = 4096  # rows that are rounded at once, so that a large matrix is not held as floats several times
Bits = Literal[4, 8]


@dataclass(frozen=True, slots=True)
class WeightBlocks:
    """A matrix of weights `level * scale + minimum`, rows in a checkpoint's order.

    Attributes:
        levels: (out, in): uint8 in 0..15 at 4 bits, in a multiple of 32; int8 at 8 bits, in a multiple of 16.
        scales: (out, in / 32) float32 at 4 bits, (out, in / 16) at 8.
        minimums: as `scales`.
    """

    levels: torch.Tensor
    scales: torch.Tensor
    minimums: torch.Tensor

    @property
    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Levels, scales and minimums."""
        return self.levels, self.scales, self.minimums

    @property
    def bits(self) -> Bits:
        """Bits of a level."""
        return 8 if self.levels.dtype == torch.int8 else 4

    @property
    def shape(self) -> torch.Size:
        """(out, in)."""
        return self.levels.shape

    @classmethod
    def quantise(cls, weight: torch.Tensor, bits: Bits = 4) -> "WeightBlocks":
        """Round an (out, in) matrix: to 16 even levels between each block's ends, or to 255 around zero.

        Raises:
            ValueError: if in is no multiple of the block's size.
        """
        size, rounded = (BLOCK, _rounded) if bits == 4 else (BYTE_BLOCK, _rounded_to_bytes)
        if weight.shape[1] % size:
            raise ValueError(f"{bits}-bit weights need in_features a multiple of {size}, got {weight.shape[1]}")
        return cls.stack([cls(*rounded(slab)) for slab in torch.split(weight, _SLAB)])

    @classmethod
    def stack(cls, parts: Sequence["WeightBlocks"]) -> "WeightBlocks":
        """One matrix of all the parts' rows, in order; at 8 bits where any part is."""
        if len({part.bits for part in parts}) > 1:
            parts = [part.at_eight_bits() for part in parts]
        levels, scales, minimums = ([getattr(part, name) for part in parts] for name in cls.__slots__)
        return cls(torch.cat(levels), torch.cat(scales), torch.cat(minimums))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.levels)

    def __getitem__(self, rows: torch.Tensor | slice) -> "WeightBlocks":
        """Return the matrix of the rows that (n,) int64 `rows` names, in that order, or of a run of rows."""
        return WeightBlocks(self.levels[rows], self.scales[rows], self.minimums[rows])

    def at_eight_bits(self) -> "WeightBlocks":
        """Return the same weights at 8 bits: not one is changed."""
        if self.bits == 8:
            return self
        scales, minimums = (part.repeat_interleave(BLOCK // BYTE_BLOCK, 1) for part in (self.scales, self.minimums))
        return WeightBlocks(self.levels.to(torch.int8), scales, minimums)

    def to(self, device: torch.device) -> "WeightBlocks":
        """Return the same weights on a device."""
        return WeightBlocks(*(part.to(device) for part in self.parts))

    def dense(self) -> torch.Tensor:
        """Return the weights as (out, in) float32, equal to what transformers reads from the same file."""
        blocks = self.levels.view(*self.scales.shape, -1).float()
        return (blocks * self.scales[..., None] + self.minimums[..., None]).flatten(1)


Matrix = torch.Tensor | WeightBlocks


def float_rows(matrix: Matrix, rows: torch.Tensor | slice) -> torch.Tensor:
    """Return the rows that (n,) int64 `rows` names, or a run of rows, as (n, in) float32."""
    part = matrix[rows]
    return part.dense() if isinstance(part, WeightBlocks) else part.float()


def stack_rows(parts: Sequence[Matrix]) -> Matrix:
    """One matrix of all the parts' rows, in order; blocks where any part is blocks.

    Raises:
        ValueError: if a part has to be rounded to blocks and its in_features is no multiple of 32.
    """
    dense = [part for part in parts if isinstance(part, torch.Tensor)]
    if len(dense) == len(parts):
        return torch.cat(dense)
    return WeightBlocks.stack([p if isinstance(p, WeightBlocks) else WeightBlocks.quantise(p) for p in parts])


def _rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Round an (n, in) matrix to 4 bits; its levels, scales and minimums."""
    blocks = weight.float().reshape(len(weight), -1, BLOCK)
    low, high = blocks.amin(-1), blocks.amax(-1)
    scales = ((high - low) / (LEVELS - 1)).clamp_min(1e-10)
    levels = ((blocks - low[..., None]) / scales[..., None]).round().clamp(0, LEVELS - 1)
    return levels.to(torch.uint8).flatten(1), scales, low


def _rounded_to_bytes(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Round an (n, in) matrix to 8 bits; its levels, scales and minimums, which are 0."""
    blocks = weight.float().reshape(len(weight), -1, BYTE_BLOCK)
    scales = (blocks.abs().amax(-1) / 127).clamp_min(1e-30)
    levels = (blocks / scales[..., None]).round()
    return levels.to(torch.int8).flatten(1), scales, torch.zeros_like(scales)
