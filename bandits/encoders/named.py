"""An encoder from what an option, or the mark of data or of a policy, calls it."""

from __future__ import annotations

from bandits.encoders import ENCODERS, ContextEncoder, read_encoder_spec


def make_encoder(name: str) -> ContextEncoder:
    """Make the encoder of a name.

        make_encoder("hashing")      # 256 features
        make_encoder("hashing-64")   # as data and policies are marked
        make_encoder("my_package.my_module:MyEncoder")

    Args:
        name: a kind of `ENCODERS`, the name that an encoder gave to its data where the encoder can be made from it, or
            "package.module:Class", which imports that module only.

    Raises:
        ValueError: if the name is unknown, or cannot be made without settings.
        TypeError: if a path leads to no encoder's class.
    """
    return (None if name in ENCODERS else recorded_encoder(name)) or read_encoder_spec(name).build()


def recorded_encoder(name: str) -> ContextEncoder | None:
    """Make the encoder that marked data or a policy with this name; nothing is imported for it.

    Returns:
        The encoder; None where the name does not tell enough.
    """
    made = (kind.of_name(name) for kind in ENCODERS.values())
    return next((encoder for encoder in made if encoder is not None), None)
