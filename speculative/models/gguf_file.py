"""A GGUF file, or all parts of a split one: its metadata and where its tensors lie."""

import math
import mmap
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY, _MAX_DEPTH = 8, 9, 2
_PART = re.compile(r"(.*)-(\d{5})-of-(\d{5})\.gguf")


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor as it is stored.

    Attributes:
        name: as the file spells it.
        kind: the name of its storage type, for example "Q4_K" or "F32".
        shape: (out, in) or (n,): rows first, as in torch.
        data: (out, bytes a row) uint8, mapped from the file.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    data: Bytes

    def dense(self, rows: npt.NDArray[np.int64] | slice = slice(None)) -> npt.NDArray[np.float32]:
        """Return rows as float32, (n, in); of a vector its one row.

        Raises:
            ValueError: if gguf does not know how to read the type.
        """
        from gguf import GGMLQuantizationType, dequantize

        try:
            return np.asarray(dequantize(self.data[rows], GGMLQuantizationType[self.kind]), dtype=np.float32)
        except NotImplementedError as error:
            raise ValueError(f"the tensor {self.name!r} is of the type {self.kind}, which is not read") from error


@dataclass(frozen=True, slots=True)
class GgufFile:
    """All that a model's GGUF files hold.

    Attributes:
        path: the file, or the first part.
        parts: every file, in order.
        metadata: of the first part, by key.
        tensors: of all parts, by name.
        header_bytes: of each part, where its tensors' numbers begin.
    """

    path: Path
    parts: list[Path]
    metadata: dict[str, Any]
    tensors: dict[str, GgufTensor]
    header_bytes: list[int] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path) -> "GgufFile":
        """Read the headers of a file and of the parts that belong to it.

        Raises:
            ValueError: if a file is missing, damaged or no GGUF file, or the parts do not belong together.
        """
        parts = _parts_of(path)
        metadata: dict[str, Any] = {}
        tensors: dict[str, GgufTensor] = {}
        ends = []
        for number, part in enumerate(parts):
            found, held, end = _read(part)
            metadata = metadata or found
            if found.get("split.count", 1) != len(parts) or found.get("split.no", 0) != number:
                said = f"part {found.get('split.no', 0)} of {found.get('split.count', 1)} (split.no, split.count)"
                raise ValueError(
                    f"{part} says that it is {said}, not {number} of {len(parts)}; parts must be named "
                    "NAME-00001-of-0000N.gguf"
                )
            for name, tensor in held.items():
                if name in tensors:
                    raise ValueError(f"{part} holds the tensor {name!r}, and so does an earlier part")
                tensors[name] = tensor
            ends.append(end)
        expected = metadata.get("split.tensors.count", len(tensors))
        if expected != len(tensors):
            raise ValueError(f"{path}: split.tensors.count must be the {len(tensors)} tensors found, got {expected}")
        return cls(parts[0], parts, metadata, tensors, ends)


def _parts_of(path: Path) -> list[Path]:
    place = _PART.fullmatch(path.name)
    if place is None or int(place[3]) <= 1:
        parts = [path]
    else:
        parts = [path.with_name(f"{place[1]}-{i:05d}-of-{place[3]}.gguf") for i in range(1, int(place[3]) + 1)]
    for part in parts:
        if not part.exists():
            which = "model file" if len(parts) == 1 else f"part of {path.name}:"
            raise ValueError(f"{which} {part} does not exist")
        if not part.is_file():
            raise ValueError(f"model file {part} must be a regular file")
    return parts


def _read(path: Path) -> tuple[dict[str, Any], dict[str, GgufTensor], int]:
    """Return a file's metadata, tensors, and where their numbers begin."""
    if path.stat().st_size < 24:
        raise ValueError(f"{path} is no GGUF file: it has {path.stat().st_size} bytes")
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        return _Cursor(content).read_all()
    except (struct.error, IndexError, OverflowError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path} is a damaged GGUF file: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _check_apart(places: Mapping[str, tuple[int, int]]) -> None:
    """Refuse tensors that share bytes, by where each begins and how many it has."""
    ends_at, before = 0, ""
    for name, (begin, n_bytes) in sorted(places.items(), key=itemgetter(1)):
        if begin < ends_at:
            raise ValueError(f"the tensors {before!r} and {name!r} share bytes; the file is damaged")
        ends_at, before = begin + n_bytes, name


class _Cursor:
    """Reads the format's values one after the other.

    Source: ggml, docs/gguf.md.
    """

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._at = content, 0

    def read_all(self) -> tuple[dict[str, Any], dict[str, GgufTensor], int]:
        if self._content[:4] != _MAGIC:
            raise ValueError("is no GGUF file: it does not begin with GGUF")
        self._at = 4
        version, n_tensors, n_keys = self._scalar("I"), self._scalar("Q"), self._scalar("Q")
        if version not in _VERSIONS:
            raise ValueError(f"GGUF version must be one of {_VERSIONS}, little-endian, got {version}")
        metadata: dict[str, Any] = {}
        for _ in range(n_keys):
            key = self._string()
            if key in metadata:
                raise ValueError(f"the key {key!r} stands there twice")
            metadata[key] = self._value(self._scalar("I"))
        infos = [self._tensor_info() for _ in range(n_tensors)]
        alignment = metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 0 < alignment <= 2**20:
            raise ValueError(f"general.alignment must be in [1, 2**20], got {alignment!r}")
        start = -(-self._at // alignment) * alignment
        tensors: dict[str, GgufTensor] = {}
        for name, kind, dims, offset in infos:
            if name in tensors:
                raise ValueError(f"the tensor {name!r} stands there twice")
            if offset % alignment:
                raise ValueError(f"the tensor {name!r} must begin at a multiple of {alignment} bytes, got {offset}")
            tensors[name] = self._tensor(name, kind, dims, start + offset)
        _check_apart({name: (offset, tensors[name].data.nbytes) for name, _, _, offset in infos})
        return metadata, tensors, start

    def _scalar(self, kind: str) -> Any:
        [value] = struct.unpack_from(f"<{kind}", self._content, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return value

    def _string(self) -> str:
        length = self._scalar("Q")
        if length > len(self._content) - self._at:
            raise IndexError(f"a text of {length} bytes ends beyond the file")
        self._at += length
        return self._content[self._at - length : self._at].decode()

    def _value(self, kind: int, depth: int = 0) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind != _ARRAY or depth == _MAX_DEPTH:
            raise ValueError(f"metadata of the type {kind} is not read")
        inner, length = self._scalar("I"), self._scalar("Q")
        if length > len(self._content) - self._at:  # each value takes a byte at least
            raise IndexError(f"a list of {length} values ends beyond the file")
        if inner in _SCALARS:
            values = struct.unpack_from(f"<{length}{_SCALARS[inner]}", self._content, self._at)
            self._at += struct.calcsize(f"<{length}{_SCALARS[inner]}")
            return list(values)
        return [self._value(inner, depth + 1) for _ in range(length)]

    def _tensor_info(self) -> tuple[str, int, list[int], int]:
        name, n_dims = self._string(), self._scalar("I")
        if not 1 <= n_dims <= 4:
            raise ValueError(f"the tensor {name!r} must have 1 to 4 dimensions, got {n_dims}")
        dims = [self._scalar("Q") for _ in range(n_dims)]
        return name, self._scalar("I"), dims, self._scalar("Q")

    def _tensor(self, name: str, kind: int, dims: list[int], begin: int) -> GgufTensor:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        if kind not in {int(known) for known in GGML_QUANT_SIZES}:
            raise ValueError(f"the tensor {name!r} is of the unknown type {kind}")
        block, size = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
        if dims[0] % block or not all(dims):
            raise ValueError(f"the tensor {name!r} must have rows of a multiple of {block} numbers, got {dims}")
        n_rows, row_bytes = math.prod(dims[1:]), dims[0] // block * size
        if begin + n_rows * row_bytes > len(self._content):
            raise IndexError(f"the tensor {name!r} ends beyond the file; it is truncated")
        data = np.frombuffer(self._content, np.uint8, n_rows * row_bytes, begin).reshape(n_rows, row_bytes)
        return GgufTensor(name, GGMLQuantizationType(kind).name, tuple(reversed(dims)), data)
