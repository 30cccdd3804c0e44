"""A matrix of 4-bit weights in blocks of 32 that share a scale and a minimum."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

BLOCK = 32  # weights that share a scale, in GGUF's Q4_0 and Q4_1 and in PyTorch's kernel alike
LEVELS = 16
_SLAB = 4096  # rows that are rounded at once, so that a large matrix is not held as floats several times


@dataclass(frozen=True, slots=True)
class WeightBlocks:
    """A matrix of 4-bit weights: `level * scale + minimum`, rows in a checkpoint's order.

    Attributes:
        levels: (out, in) uint8 in 0..15; in is a multiple of 32.
        scales: (out, in / 32) float32.
        minimums: (out, in / 32) float32.
    """

    levels: torch.Tensor
    scales: torch.Tensor
    minimums: torch.Tensor

    @property
    def parts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Levels, scales and minimums."""
        return self.levels, self.scales, self.minimums

    @classmethod
    def quantise(cls, weight: torch.Tensor) -> "WeightBlocks":
        """Round an (out, in) matrix to 16 even levels between each block's ends.

        Raises:
            ValueError: if in is no multiple of 32.
        """
        if weight.shape[1] % BLOCK:
            raise ValueError(f"4-bit weights need in_features a multiple of {BLOCK}, got {weight.shape[1]}")
        return cls.stack([cls(*_rounded(slab)) for slab in torch.split(weight, _SLAB)])

    @classmethod
    def stack(cls, parts: Sequence["WeightBlocks"]) -> "WeightBlocks":
        """One matrix of all the parts' rows, in order."""
        levels, scales, minimums = ([getattr(part, name) for part in parts] for name in cls.__slots__)
        return cls(torch.cat(levels), torch.cat(scales), torch.cat(minimums))

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.levels)

    def __getitem__(self, rows: torch.Tensor) -> "WeightBlocks":
        """Return the matrix of the rows that (n,) int64 `rows` names, in that order."""
        return WeightBlocks(self.levels[rows], self.scales[rows], self.minimums[rows])

    def dense(self) -> torch.Tensor:
        """Return the weights as (out, in) float32, equal to what transformers reads from the same file."""
        blocks = self.levels.view(len(self.levels), -1, BLOCK).float()
        return (blocks * self.scales[..., None] + self.minimums[..., None]).flatten(1)


Matrix = torch.Tensor | WeightBlocks


def _rounded(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Round an (n, in) matrix; its levels, scales and minimums."""
    blocks = weight.float().reshape(len(weight), -1, BLOCK)
    low, high = blocks.amin(-1), blocks.amax(-1)
    scales = ((high - low) / (LEVELS - 1)).clamp_min(1e-10)
    levels = ((blocks - low[..., None]) / scales[..., None]).round().clamp(0, LEVELS - 1)
    return levels.to(torch.uint8).flatten(1), scales, low


def stack_rows(parts: Sequence[Matrix]) -> Matrix:
    """One matrix of all the parts' rows, in order; blocks where any part is blocks.

    Raises:
        ValueError: if a part has to be rounded to blocks and its in_features is no multiple of 32.
    """
    dense = [part for part in parts if isinstance(part, torch.Tensor)]
    if len(dense) == len(parts):
        return torch.cat(dense)
    return WeightBlocks.stack([p if isinstance(p, WeightBlocks) else WeightBlocks.quantise(p) for p in parts])
