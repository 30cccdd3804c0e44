"""What an object is, as a digest of its class and all that it holds: equal digests do the same work."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import FunctionType

import numpy as np

_OURS = ("arms", "rewards", "bandits", "speculative")


def fingerprint(thing: object) -> str:
    """Return what a thing says of itself, by a method `fingerprint()`, or else a digest of its class and attributes.

    Of a class outside this project the source counts too, where it can be read. A class that keeps caches, or data
    that its attributes do not show, writes the method: the digest must not change while the thing is used.

    Args:
        thing: plain values, containers, arrays, tensors, functions, or any object made of these.

    Returns:
        64 hexadecimal digits, the same in every process.
    """
    own = None if isinstance(thing, type) else getattr(thing, "fingerprint", None)
    return str(own()) if callable(own) else digest(thing)


def digest(*parts: object) -> str:
    """Return a digest of the parts, as in `fingerprint`, whatever methods they have themselves."""
    total = hashlib.sha256()
    for part in parts:
        for piece in _pieces(part, (), top=True):
            total.update(len(piece).to_bytes(8, "little") + piece)
    return total.hexdigest()


def _pieces(value: object, holders: tuple[int, ...], top: bool = False) -> Iterator[bytes]:
    """Yield what tells a value from others; `holders` are the objects that it is part of."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | PurePath | np.generic):
        yield f"{type(value).__name__}:{value!s}".encode("utf-8", "surrogatepass")
    elif id(value) in holders:
        yield b"itself"
    elif isinstance(value, np.ndarray):
        yield f"array:{value.dtype}:{value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Mapping):
        yield f"mapping:{len(value)}".encode()
        for key, item in value.items():
            yield from _pieces(key, (*holders, id(value)))
            yield from _pieces(item, (*holders, id(value)))
    elif isinstance(value, Set):
        yield f"set:{len(value)}".encode()
        yield from sorted(digest(item).encode() for item in value)
    elif isinstance(value, list | tuple | range):
        yield f"sequence:{len(value)}".encode()
        for item in value:
            yield from _pieces(item, (*holders, id(value)))
    elif isinstance(value, type):
        yield _path(value)
    elif isinstance(value, FunctionType):
        yield f"function:{value.__module__}.{value.__qualname__}".encode() + value.__code__.co_code
    elif hasattr(value, "detach") and hasattr(value, "numpy"):  # a tensor, without importing torch
        yield f"tensor:{value.dtype}".encode()  # type: ignore[attr-defined]  # as its methods say
        yield from _pieces(value.detach().cpu().double().numpy(), holders)
    elif not top and callable(getattr(value, "fingerprint", None)):
        yield fingerprint(value).encode()
    else:
        yield _path(type(value)) + _source(type(value))
        yield from _pieces(_attributes(value), (*holders, id(value)))


def _attributes(value: object) -> dict[str, object]:
    """Return what an object holds, but for fields of a dataclass that do not count where two are compared."""
    slots = [name for cls in type(value).__mro__ for name in getattr(cls, "__slots__", ()) if hasattr(value, name)]
    held = {name: getattr(value, name) for name in slots} | dict(getattr(value, "__dict__", {}))
    aside = {one.name for one in fields(value) if not one.compare} if is_dataclass(value) else set()
    return {name: item for name, item in held.items() if name not in aside}


def _path(cls: type) -> bytes:
    return f"class:{cls.__module__}.{cls.__qualname__}".encode()


def _source(cls: type) -> bytes:
    """Return the source of a class of the user's own; this project's classes go by their names."""
    if cls.__module__.split(".")[0] in _OURS or cls.__module__ == "builtins":
        return b""
    try:
        return inspect.getsource(cls).encode()
    except (OSError, TypeError):  # made in a console, or in C
        return b""
