"""Query to context: the encoder interface, hashing and sentence encoders."""

from collections.abc import Mapping

from arms.plugin import read_spec
from bandits.encoders.columns import ColumnFeatures
from bandits.encoders.encoder import ContextEncoder, EncoderSpec
from bandits.encoders.hashing import HashingEncoder
from bandits.encoders.sentence import SentenceEncoder

ENCODERS: dict[str, type[ContextEncoder]] = {"hashing": HashingEncoder, "sentence": SentenceEncoder}
"""The kinds of encoders by the name that files and options use."""


def read_encoder_spec(
    settings: EncoderSpec | Mapping[str, object] | str, encoders: Mapping[str, type[ContextEncoder]] = ENCODERS
) -> EncoderSpec:
    """Return the checked settings of an encoder: `arms.plugin.read_spec` for `ENCODERS`, or for more kinds."""
    return read_spec(settings, encoders, ContextEncoder, EncoderSpec, "encoder")


__all__ = [
    "ENCODERS",
    "ColumnFeatures",
    "ContextEncoder",
    "EncoderSpec",
    "HashingEncoder",
    "SentenceEncoder",
    "read_encoder_spec",
]
