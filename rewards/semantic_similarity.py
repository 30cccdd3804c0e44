"""Agreement of texts in meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from arms import Observation
from arms.plugin import resolve_plugin
from rewards.stored_vectors import StoredVectors, TextEncoder, Vectors
from rewards.text_agreement import TextAgreement


@dataclass(frozen=True)
class SemanticSimilarity(TextAgreement):
    """Cosine of the encoded texts of draft and target, in [-1, 1]; 0 where one of them is encoded as zeros.

    Texts that are valued together are encoded in batches, each once, which may move a value by rounding. With a folder
    of vectors they are encoded once for good: what is stored is valued again without a model.
    Source: Reimers and Gurevych 2019, "Sentence-BERT" (arXiv:1908.10084), section 3.

    Args:
        encoder: makes a vector of a text: an encoder, or the path "package.module:Class" of one without settings. The
            default is all-MiniLM-L6-v2 (extra `llm`).
        vectors: folder in which the vectors of texts that are valued together are kept, at half precision, which moved
            no cosine of MiniLM by 0.0001; None keeps none.
        missing: as in `TextAgreement`.

    Raises:
        ValueError: if the path names no class, or `missing` is outside [0, 1].
        TypeError: if the class has no `encode`, or vectors are to be kept and the encoder has no name.
    """

    encoder: TextEncoder | str = "bandits:SentenceEncoder"
    vectors: str | Path | None = field(default=None, kw_only=True)
    missing: float | None = field(default=None, kw_only=True)
    _vectors: dict[str, Vectors] = field(default_factory=dict, init=False, repr=False, compare=False)

    bounds = (-1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._encoder  # a wrong one is told at once

    def prepare(self, observations: Sequence[Observation]) -> None:
        """Encode each text once."""
        pairs = ((o.own_text, o.reference.text) for o in observations if o.own_text is not None and o.reference)
        texts = list(dict.fromkeys(text for own, target in pairs if own != target for text in (own, target)))
        if isinstance(self._encoder, StoredVectors):
            self._encoder.keep(texts)
            return
        self._vectors.clear()
        self._vectors.update(zip(texts, self._encoder.encode(texts), strict=True))

    def _agreement(self, own: str, target: str) -> float:
        first, second = (self._vector(text) for text in (own, target))
        norms = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(np.clip(float(first @ second) / norms, -1.0, 1.0)) if norms else 0.0

    def _vector(self, text: str) -> Vectors:
        found = self._vectors.get(text)
        return self._encoder.encode([text])[0].astype(np.float64) if found is None else found.astype(np.float64)

    @cached_property
    def _encoder(self) -> TextEncoder:
        encoder = self.encoder
        if isinstance(encoder, str):
            encoder = resolve_plugin(encoder, TextEncoder, "encoder")()
        if not isinstance(encoder, TextEncoder):
            raise TypeError(f"encoder must have a method encode, or be a path to a class, got {encoder!r}")
        return encoder if self.vectors is None else StoredVectors(self.vectors, encoder)
