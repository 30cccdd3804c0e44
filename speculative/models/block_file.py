"""Matrices in blocks of 4 or 8 bits on the disk, two 4-bit weights a byte, one read at a time."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import torch

from speculative.models.safetensors_writer import SafetensorsWriter
from speculative.models.weight_blocks import BLOCK, BYTE_BLOCK, LEVELS, WeightBlocks
from speculative.models.weight_files import WeightFiles

_LEVELS, _CONSTANTS = ".levels", ".constants"
_TOLD_EVERY = 50  # tensors
_log = logging.getLogger(__name__)


def write_blocks(path: Path, names: Sequence[str], matrices: Iterable[tuple[str, WeightBlocks]]) -> None:
    """Write a file that `StoredBlocks` reads, one matrix after the other, and say how far it is.

    Args:
        path: the file.
        names: of all matrices.
        matrices: each with its name; taken one at a time.
    """
    stored = [f"{name}{part}" for name in names for part in (_LEVELS, _CONSTANTS)]
    with SafetensorsWriter(path, stored) as writer:
        for i, (name, block) in enumerate(matrices, 1):
            for part_name, part in packed_parts(name, block).items():
                writer.add(part_name, [part], tuple(part.shape))
            tell(i, len(names), "matrices in blocks")


def tell(done: int, total: int, what: str) -> None:
    """Log how much of a conversion is written, now and then."""
    if done % _TOLD_EVERY == 0 or done == total:
        _log.info("%d of %d %s written", done, total, what)


def packed_parts(name: str, block: WeightBlocks) -> dict[str, torch.Tensor]:
    """Return a matrix as the tensors that `StoredBlocks` reads.

    Scales and minimums are float16 where that changes no number, as for Q4_0 and Q4_1, else float32.
    """
    constants = torch.stack([block.scales, block.minimums])
    half = constants.half()
    levels = block.levels if block.bits == 8 else block.levels[:, 0::2] | block.levels[:, 1::2] << 4
    return {
        f"{name}{_LEVELS}": levels,
        f"{name}{_CONSTANTS}": half if torch.equal(half.float(), constants) else constants,
    }


class StoredBlocks(Mapping[str, WeightBlocks]):
    """Matrices by name, each read when it is asked for.

    Args:
        path: a safetensors file of `packed_parts`.

    Attributes:
        n_bytes: the file's size.

    Raises:
        ValueError: if the file is unreadable, truncated or of another form.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._files, self.n_bytes = WeightFiles([path]), path.stat().st_size
        except ValueError as error:
            raise ValueError(f"{error}; delete its folder, and the model is converted again") from error
        self._names = [name.removesuffix(_LEVELS) for name in self._files if name.endswith(_LEVELS)]
        for name in self._names:
            self._check(path, name)

    def __getitem__(self, name: str) -> WeightBlocks:
        """Return a matrix; levels of 8 bits stay mapped from the file.

        Raises:
            KeyError: if there is none of that name.
        """
        levels = self._files[f"{name}{_LEVELS}"]
        if levels.dtype == torch.uint8:
            levels = torch.stack([levels & (LEVELS - 1), levels >> 4], dim=-1).flatten(1)
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
        sizes = {"U8": BLOCK // 2, "I8": BYTE_BLOCK}  # bytes of a block
        size = sizes.get(levels.dtype, 0)
        if not size or n_bytes % size or constants is None or constants.shape != (2, n_rows, n_bytes // size):
            raise ValueError(f"{path} is no file of weights in blocks: {name!r} is damaged; delete its folder")
