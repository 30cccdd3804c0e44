"""The safetensors files of a checkpoint folder, each tensor mapped into memory only while it is used."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open

from speculative.models.json_file import read_json_object

BLOCKS_FILE = "int4_blocks.safetensors"  # beside a converted GGUF file's dense weights
_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Where a tensor lies and what its file's header says of it.

    Attributes:
        file: the safetensors file.
        dtype: as the file spells it, for example "BF16".
        shape: its sizes.
    """

    file: Path
    dtype: str
    shape: tuple[int, ...]


class WeightFiles(Mapping[str, torch.Tensor]):
    """Tensors by name; asking for one maps its file anew, so that memory goes back with the tensor.

    Args:
        files: safetensors files.

    Attributes:
        stored: what the headers say, by name.

    Raises:
        ValueError: if a file is unreadable or truncated, or two hold a tensor of one name.
    """

    def __init__(self, files: list[Path]) -> None:
        self.stored: dict[str, StoredTensor] = {}
        for file in files:
            for name, tensor in _header(file).items():
                if name in self.stored:
                    raise ValueError(f"{file} and {self.stored[name].file} both hold the tensor {name!r}; remove one")
                self.stored[name] = tensor

    def __getitem__(self, name: str) -> torch.Tensor:
        """Return a tensor that lies in a mapping of its own."""
        with safe_open(self.stored[name].file, framework="pt") as tensors:
            found: torch.Tensor = tensors.get_tensor(name)
        return found

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self.stored)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self.stored)


def read_weights(folder: Path) -> WeightFiles:
    """All tensors of a folder's safetensors files, by name.

    Read is `model.safetensors`, or the files that the index names, or all, as transformers does: what else lies there
    may be the same weights in another format.

    Raises:
        ValueError: if there are none, or one is missing, truncated or outside the folder.
    """
    return WeightFiles(_weight_files(folder))


def _header(file: Path) -> dict[str, StoredTensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            parts = {name: tensors.get_slice(name) for name in tensors.keys()}  # noqa: SIM118 (no mapping)
            return {n: StoredTensor(file, part.get_dtype(), tuple(part.get_shape())) for n, part in parts.items()}
    except (SafetensorError, OSError, RuntimeError) as error:
        with file.open("rb") as opened:
            pointer = opened.read(len(_LFS)) == _LFS
        reason = "it is a pointer of git-lfs; fetch the file itself with `git lfs pull`" if pointer else error
        raise ValueError(f"{file} is not a readable safetensors file: {reason}") from error


def _weight_files(folder: Path) -> list[Path]:
    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.is_file():
        return [single]
    if index.exists():
        names = _indexed(index)
        missing = [name for name in names if not (folder / name).is_file()]
        if missing:
            raise ValueError(f"{folder} lacks the weight file {missing[0]} that its index names; fetch it again")
        return [folder / name for name in names]
    files = sorted(file for file in folder.glob("*.safetensors") if file.name != BLOCKS_FILE and file.is_file())
    if not files:
        raise ValueError(f"{folder} holds no .safetensors file")
    return files


def _indexed(index: Path) -> list[str]:
    """Read the names of the weight files that an index names."""
    places = read_json_object(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise ValueError(f"{index} is no index of weight files: weight_map must name files, got {str(places)[:80]}")
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file or not file.endswith(".safetensors"):
            raise ValueError(
                f"{index}: the file of {name!r} must be the name of a .safetensors file in this folder, got {file!r}"
            )
    return sorted(set(places.values()))
