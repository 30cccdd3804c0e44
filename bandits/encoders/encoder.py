"""From text to a context vector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from bandits.checks import Float32


class ContextEncoder(ABC):
    """Turns texts into contexts; the same text always gives the same row."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Return what data and policies are marked with: two encoders of one name give the same contexts."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Return d, the size of a context."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Float32:
        """Return contexts.

        Args:
            texts: n texts; n may be 0.

        Returns:
            (n, d) float32, finite.
        """
