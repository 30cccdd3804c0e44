"""Query to context: the encoder interface, hashing and sentence encoders."""

from collections.abc import Mapping

from arms.plugin import find_plugin
from bandits.encoders.encoder import ContextEncoder, EncoderSpec
from bandits.encoders.hashing import HashingEncoder
from bandits.encoders.sentence import SentenceEncoder

ENCODERS: dict[str, type[ContextEncoder]] = {"hashing": HashingEncoder, "sentence": SentenceEncoder}
"""The kinds of encoders by the name that files and options use."""


def read_encoder_spec(
    settings: EncoderSpec | Mapping[str, object] | str, encoders: Mapping[str, type[ContextEncoder]] = ENCODERS
) -> EncoderSpec:
    """Return the checked settings of an encoder, as the spec of its kind.

    Args:
        settings: `kind` and that kind's settings, as a file's table has them; the kind alone; or a spec, which is
            returned. A pydantic field takes it as a `BeforeValidator`.
        encoders: name to class, the kinds there are; "package.module:Class" is always one.

    Raises:
        ValueError: if the kind is missing or unknown, or a setting breaks its rule (pydantic's `ValidationError`).
        TypeError: if the kind names no encoder's class, or settings are none of these.
    """
    if isinstance(settings, EncoderSpec):
        return settings
    values = {"kind": settings} if isinstance(settings, str) else settings
    if not isinstance(values, Mapping):
        raise TypeError(f"an encoder's settings must be a table with a kind, got {settings!r}")
    kind = values.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f'an encoder needs a kind ({", ".join(encoders)}, or "package.module:Class"), got {kind!r}')
    return find_plugin(kind, encoders, ContextEncoder, "encoder").Spec.model_validate(values)


__all__ = ["ENCODERS", "ContextEncoder", "EncoderSpec", "HashingEncoder", "SentenceEncoder", "read_encoder_spec"]
