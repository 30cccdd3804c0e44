"""Contexts from hashed words: no model, no download, no training."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from pydantic import Field

from bandits import checks
from bandits.checks import Float32
from bandits.encoders.encoder import ContextEncoder, EncoderSpec

MOST_FEATURES = 2**24  # 64 MB a row

_TOKEN = re.compile(r"\w+|[^\w\s]")


class HashingEncoder(ContextEncoder):
    """Hash words, pairs of words and punctuation marks into a vector of unit length.

    Each feature f adds sign(f) * (1 + log count(f)) to entry hash(f) mod d; the vector is then scaled to
    length 1 (a text without any word gives zeros). The hash is CRC-32 of the UTF-8 bytes, so that rows are
    the same on every machine and in every process.

    Args:
        n_features: d; more features, fewer collisions.

    Source: Weinberger et al. 2009, Feature Hashing for Large Scale Multitask Learning (arXiv:0902.2206).
    """

    class Spec(EncoderSpec):
        """The settings in a pool file."""

        kind: Literal["hashing"] = "hashing"
        n_features: int = Field(256, ge=1, le=MOST_FEATURES)

        def build(self, target: object | None = None) -> HashingEncoder:
            """Make the encoder; it needs no target."""
            return HashingEncoder(self.n_features)

    def __init__(self, n_features: int = 256) -> None:
        self.n_features = checks.whole(n_features, 1, MOST_FEATURES, "n_features")
        self.name = f"hashing-{n_features}"

    @classmethod
    def of_name(cls, name: str) -> HashingEncoder | None:
        """Return the encoder of `hashing-N`, which has N features."""
        size = re.fullmatch(r"hashing-([1-9]\d{0,8})", name)
        return None if size is None else cls(int(size[1]))

    def encode(self, texts: Sequence[str]) -> Float32:
        """Return (n, d) float32, rows of unit length."""
        texts = checks.texts(texts)
        rows = np.zeros((len(texts), self.n_features), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            counts = Counter(_features(text))
            if not counts:
                continue
            hashes = np.fromiter(
                (zlib.crc32(f.encode("utf-8", "surrogatepass")) for f in counts), np.uint32, len(counts)
            )
            signs = np.where(hashes >> np.uint32(31), -1.0, 1.0)
            amounts = signs * (1.0 + np.log(np.fromiter(counts.values(), np.float64, len(counts))))
            np.add.at(row, (hashes & np.uint32(0x7FFFFFFF)) % self.n_features, amounts.astype(np.float32))
            length = float(np.linalg.norm(row))
            if length > 0:  # opposite signs may cancel to nothing
                row /= length
        return rows


def _features(text: str) -> Iterator[str]:
    """Yield words and marks, lower-cased, and pairs of neighbours."""
    tokens = _TOKEN.findall(text.lower())
    yield from tokens
    for left, right in pairwise(tokens):
        yield f"{left} {right}"
