"""From text to a context vector, and by which settings a file or an option names what does that."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from arms import Query
from arms.plugin import build_plain
from arms.strict_model import StrictModel
from bandits.checks import Float32
from bandits.encoders.columns import shown


class EncoderSpec(StrictModel):
    """What names an encoder in a pool file: `kind` and the settings of that kind.

    An encoder with settings has a spec of its own, nested as `Spec`; one's own encoder without settings needs none.

    Attributes:
        kind: a name of `ENCODERS`, or "package.module:Class".
    """

    kind: str

    def build(self, target: object | None = None) -> ContextEncoder:
        """Make the encoder.

        Args:
            target: the loaded target model, for an encoder that reads its states.

        Raises:
            TypeError: if the class at `kind` needs arguments and has no `Spec` that gives them.
            ValueError: if `kind` names no encoder.
        """
        return build_plain(self.kind, ContextEncoder, EncoderSpec, "encoder")


class ContextEncoder(ABC):
    """Turn texts into contexts; the same text always gives the same row.

    A subclass sets `name` and `n_features`, in the class or in its `__init__`, and writes `encode`.

    Attributes:
        name: what data and policies are marked with: two encoders of one name give the same contexts.
        n_features: d, the size of a context.
    """

    Spec: ClassVar[type[EncoderSpec]] = EncoderSpec

    name: str
    n_features: int

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> Float32:
        """Return contexts.

        Args:
            texts: n texts; n may be 0.

        Returns:
            (n, d) float32, finite.
        """

    @classmethod
    def of_name(cls, name: str) -> ContextEncoder | None:
        """Return the encoder that marks its data with this name; None where the name does not tell enough."""
        return None

    def encode_query(self, query: Query) -> Float32:
        """Return the context of one query's text, (d,) float32."""
        row: Float32 = self.encode([query.text])[0]
        return row


def check_same_encoder(first: str, encoder: str | None, second: str, other: str | None) -> None:
    """Reject contexts of two encoders where one is needed; None is unknown and agrees with any.

    Args:
        first: what is marked with `encoder`, e.g. "the policy".
        encoder: name of an encoder, or None.
        second: what is marked with `other`.
        other: name of an encoder, or None.

    Raises:
        ValueError: if both are known and differ.
    """
    if None not in (encoder, other) and encoder != other:
        raise encoder_mismatch(first, encoder, second, other)


def encoder_mismatch(first: str, encoder: str | None, second: str, other: str | None) -> ValueError:
    """Make the error to raise where two things need contexts of one encoder and have two."""
    return ValueError(
        f"{first} and {second} must have contexts of one encoder, got {shown(encoder)} and {shown(other)}: "
        "encode with the same encoder in training and use"
    )
