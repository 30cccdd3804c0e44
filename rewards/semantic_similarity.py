"""Agreement of texts in meaning."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from arms import Observation
from arms.plugin import resolve_plugin
from rewards.text_agreement import TextAgreement

_Vector = npt.NDArray[np.float32]


@runtime_checkable
class TextEncoder(Protocol):
    """What makes vectors of texts, as the encoders of `bandits` do."""

    def encode(self, texts: Sequence[str]) -> _Vector:
        """Return (n, d) float32."""


@dataclass(frozen=True)
class SemanticSimilarity(TextAgreement):
    """Cosine of the encoded texts of draft and target, in [-1, 1]; 0 where one of them is encoded as zeros.

    Texts that are valued together are encoded in batches, each once, which may move a value by rounding.
    Source: Reimers and Gurevych 2019, "Sentence-BERT" (arXiv:1908.10084), section 3.

    Args:
        encoder: makes a vector of a text: an encoder, or the path "package.module:Class" of one without settings. The
            default is all-MiniLM-L6-v2 (extra `llm`).
        missing: as in `TextAgreement`.

    Raises:
        ValueError: if the path names no class, or `missing` is outside [0, 1].
        TypeError: if the class has no `encode`.
    """

    encoder: TextEncoder | str = "bandits:SentenceEncoder"
    missing: float | None = field(default=None, kw_only=True)
    _vectors: dict[str, _Vector] = field(default_factory=dict, init=False, repr=False, compare=False)

    bounds = (-1.0, 1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self._encoder  # a wrong one is told at once

    def prepare(self, observations: Sequence[Observation]) -> None:
        """Encode each text once."""
        pairs = ((o.own_text, o.reference.text) for o in observations if o.own_text is not None and o.reference)
        texts = list(dict.fromkeys(text for own, target in pairs if own != target for text in (own, target)))
        self._vectors.clear()
        self._vectors.update(zip(texts, self._encoder.encode(texts), strict=True))

    def _agreement(self, own: str, target: str) -> float:
        first, second = (self._vector(text) for text in (own, target))
        norms = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(np.clip(float(first @ second) / norms, -1.0, 1.0)) if norms else 0.0

    def _vector(self, text: str) -> _Vector:
        found = self._vectors.get(text)
        return self._encoder.encode([text])[0].astype(np.float64) if found is None else found.astype(np.float64)

    @cached_property
    def _encoder(self) -> TextEncoder:
        if isinstance(self.encoder, str):
            return resolve_plugin(self.encoder, TextEncoder, "encoder")()
        if not isinstance(self.encoder, TextEncoder):
            raise TypeError(f"encoder must have a method encode, or be a path to a class, got {self.encoder!r}")
        return self.encoder
