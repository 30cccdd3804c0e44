"""Vectors of texts, kept in files: a text is encoded once, and no model is needed after that."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from arms.atomic_file import write_file

Vectors = npt.NDArray[np.float32]
_Halves = npt.NDArray[np.float16]
_FILE_TEXTS = 4096  # texts of one file: what a stopped run loses, and what is encoded at once
_DIGEST_BYTES = 16


@runtime_checkable
class TextEncoder(Protocol):
    """What makes vectors of texts, as the encoders of `bandits` do."""

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (n, d) float32."""


class StoredVectors:
    """An encoder that keeps vectors in a folder, and encodes only texts that it has not kept.

    Vectors are scaled to unit length, zeros aside, and rounded to half precision, those made just now too: whichever
    run encoded a text, its vector is the same. Kept, it takes 2 d + 16 bytes, in files of 4,096 texts at most, each
    written whole or not at all: a stopped run goes on where it was. Several encoders may share a folder.

    Args:
        folder: of the files; made when the first vectors are kept.
        encoder: makes the vectors that are missing. Its `name` marks them, and its `fingerprint()` where it has one:
            two encoders alike in both give the same.

    Raises:
        TypeError: if the encoder has no name.
    """

    def __init__(self, folder: str | Path, encoder: TextEncoder) -> None:
        name = getattr(encoder, "name", None)
        if not isinstance(name, str):
            raise TypeError(f"an encoder whose vectors are stored must have a name, got {encoder!r}")
        self.name, self._folder, self._encoder = name, Path(folder), encoder

    def keep(self, texts: Sequence[str]) -> None:
        """Encode those of the texts that are not kept, and keep them; `encode` alone keeps nothing.

        Raises:
            ImportError: if there are some, and the encoder's library is not installed; says what to run.
            ValueError: if a file is damaged, or the encoder gives other than n rows of d finite numbers, d as kept.
        """
        missing = {digest: text for text in texts if (digest := _digest(text)) not in self._kept}
        in_order = sorted(missing, key=lambda digest: len(missing[digest]))  # encoders pad what they encode together
        for begin in range(0, len(in_order), _FILE_TEXTS):
            digests = in_order[begin : begin + _FILE_TEXTS]
            vectors = self._made([missing[digest] for digest in digests])
            content = save({"digests": _joined(digests), "vectors": vectors}, {"encoder": self.name})
            write_file(self._folder / f"{self._key}-{_digest(*digests).hex()}.safetensors", content)
            self._kept.update(zip(digests, vectors, strict=True))

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return (n, d) float32 of unit length, or zeros; errors as in `keep`."""
        if not texts:
            return self._encoder.encode(texts)
        rows = [self._kept.get(_digest(text)) for text in texts]
        missing = [text for text, row in zip(texts, rows, strict=True) if row is None]
        made = iter(self._made(missing) if missing else ())
        return np.stack([next(made) if row is None else row for row in rows]).astype(np.float32)

    def _made(self, texts: Sequence[str]) -> _Halves:
        try:
            vectors = np.asarray(self._encoder.encode(texts), dtype=np.float64)
        except ImportError as error:
            raise ImportError(
                f"no vector of {self.name} is kept in {self._folder} of, for example, {texts[:1]}, and none can be "
                f"made here ({error}): value the same observations once where it can, with the same folder"
            ) from error
        if vectors.ndim != 2 or len(vectors) != len(texts) or not np.isfinite(vectors).all():
            n_bad = int((~np.isfinite(vectors)).sum())
            raise ValueError(
                f"{self.name} must give {len(texts)} rows of finite numbers, got shape {vectors.shape}, "
                f"{n_bad} of them not finite: mend the encoder; none of these is kept"
            )
        d = len(next(iter(self._kept.values()), vectors[0]))
        if vectors.shape[1] != d:
            raise ValueError(
                f"{self.name} must give rows of {d} numbers as those in {self._folder}, got {vectors.shape[1]}: give "
                f"an encoder that has changed another name, or delete {self._key}-* there"
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / np.where(lengths > 0, lengths, 1.0)).astype(np.float16)

    @cached_property
    def _key(self) -> str:
        """Marks the files, and tells those of another encoder in the folder."""
        own = getattr(self._encoder, "fingerprint", None)
        return _digest(f"{self.name}\0{own() if callable(own) else ''}").hex()

    @cached_property
    def _kept(self) -> dict[bytes, npt.NDArray[np.float16]]:
        found: dict[bytes, npt.NDArray[np.float16]] = {}
        for path in sorted(self._folder.glob(f"{self._key}-*.safetensors")):
            found.update(zip(*_read_file(path), strict=True))
        if len({len(row) for row in found.values()}) > 1:
            raise ValueError(f"{self._folder} holds vectors of {self.name} of several lengths: delete {self._key}-*")
        return found


def _read_file(path: Path) -> tuple[list[bytes], _Halves]:
    try:
        stored = load_file(path)
        digests, vectors = stored["digests"], stored["vectors"]
        if digests.shape != (len(vectors), _DIGEST_BYTES) or digests.dtype != np.uint8 or vectors.dtype != np.float16:
            raise ValueError("its digests and vectors do not belong together")
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(
            f"{path} is no whole file of vectors ({error!r}): delete it, to encode its texts again"
        ) from error
    content = digests.tobytes()
    return [content[i : i + _DIGEST_BYTES] for i in range(0, len(content), _DIGEST_BYTES)], vectors


def _joined(digests: Sequence[bytes]) -> npt.NDArray[np.uint8]:
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES)


def _digest(*parts: str | bytes) -> bytes:
    hashed = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        hashed.update(part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part)
    return hashed.digest()
