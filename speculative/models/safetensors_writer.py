"""A safetensors file written piece by piece, so that no more than a piece is in memory."""

import json
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

_DTYPES = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16", torch.uint8: "U8", torch.int8: "I8"}
_BYTES_A_NAME = 200  # of the header, for dtype, shape and place of a tensor, beside its name


class SafetensorsWriter:
    """Appends tensors to a file; leaving the `with` block writes the header that makes it one.

    Args:
        path: the file.
        names: of all tensors that may come: they say how much room the header takes.
    """

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self._room = 8 * (1 + sum(len(name.encode()) + _BYTES_A_NAME for name in names) // 8)
        self._file = path.open("wb")
        self._file.seek(8 + self._room)
        self._header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        self._at = 0

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Write the header, unless something went wrong, and close the file."""
        with self._file:
            if kind is None:
                self._file.seek(0)
                self._file.write(self._room.to_bytes(8, "little"))
                self._file.write(json.dumps(self._header).encode().ljust(self._room))

    def add(self, name: str, pieces: Iterable[torch.Tensor], shape: tuple[int, ...]) -> None:
        """Append one tensor.

        Args:
            name: its name.
            pieces: its numbers, in order, of one dtype.
            shape: its shape.

        Raises:
            ValueError: if the pieces do not fill the shape.
        """
        begin, n, dtype = self._at, 0, torch.float32
        for piece in pieces:
            dtype = piece.dtype
            self._file.write(piece.contiguous().view(torch.uint8).numpy().data)
            self._at += piece.nbytes
            n += piece.numel()
        if n != torch.Size(shape).numel():
            raise ValueError(f"the tensor {name!r} must hold {torch.Size(shape).numel()} numbers, got {n}")
        self._header[name] = {"dtype": _DTYPES[dtype], "shape": list(shape), "data_offsets": [begin, self._at]}
