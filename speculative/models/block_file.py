"""Matrices of 4-bit blocks on the disk, two weights a byte, one read at a time."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from speculative.models.weight_blocks import BLOCK, LEVELS, WeightBlocks
from speculative.models.weight_files import WeightFiles

_LEVELS, _CONSTANTS = ".levels", ".constants"


def packed_parts(name: str, block: WeightBlocks) -> dict[str, torch.Tensor]:
    """Return a matrix as the tensors that `StoredBlocks` reads.

    Scales and minimums are float16 where that changes no number, as for Q4_0 and Q4_1, else float32.
    """
    constants = torch.stack([block.scales, block.minimums])
    half = constants.half()
    return {
        f"{name}{_LEVELS}": block.levels[:, 0::2] | block.levels[:, 1::2] << 4,
        f"{name}{_CONSTANTS}": half if torch.equal(half.float(), constants) else constants,
    }


class StoredBlocks(Mapping[str, WeightBlocks]):
    """Matrices by name, each read when it is asked for.

    Args:
        path: a safetensors file of `packed_parts`.

    Raises:
        ValueError: if the file is unreadable, truncated or of another form.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._files = WeightFiles([path])
        except ValueError as error:
            raise ValueError(f"{error}; delete its folder, and the model is converted again") from error
        self._names = [name.removesuffix(_LEVELS) for name in self._files if name.endswith(_LEVELS)]
        for name in self._names:
            self._check(path, name)

    def __getitem__(self, name: str) -> WeightBlocks:
        """Return a matrix.

        Raises:
            KeyError: if there is none of that name.
        """
        pairs = self._files[f"{name}{_LEVELS}"]
        levels = torch.stack([pairs & (LEVELS - 1), pairs >> 4], dim=-1).flatten(1)
        return WeightBlocks(levels, *self._files[f"{name}{_CONSTANTS}"].float())

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._names)

    def __len__(self) -> int:
        """Return the number of matrices."""
        return len(self._names)

    def _check(self, path: Path, name: str) -> None:
        stored = self._files.stored
        levels, constants = stored[f"{name}{_LEVELS}"], stored.get(f"{name}{_CONSTANTS}")
        n_rows, n_bytes = levels.shape if len(levels.shape) == 2 else (0, 0)
        expected = (2, n_rows, 2 * n_bytes // BLOCK)
        if levels.dtype != "U8" or constants is None or constants.shape != expected:
            raise ValueError(f"{path} is no file of 4-bit blocks: {name!r} is damaged; delete its folder")
