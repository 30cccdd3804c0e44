"""Finding a class by name: in a registry, or at a path "package.module:Class" of the user's own."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel

from arms.named_call import with_settings

Base = TypeVar("Base")
Spec = TypeVar("Spec", bound=BaseModel)

_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


def find_plugin(name: str, table: Mapping[str, type[Base]], base: type[Base], what: str) -> type[Base]:
    """Return the class that `name` stands for: a name of `table`, or a path "package.module:Class".

    Args:
        name: what the user wrote; without a colon nothing is imported.
        table: the registry of built-in classes.
        base: class that a plug-in must derive from.
        what: what is looked for, e.g. "policy", for the error's text.

    Raises:
        ValueError: if the name is unknown, or as in `resolve_plugin`.
        TypeError: as in `resolve_plugin`.
    """
    if name in table:
        return table[name]
    if ":" not in name:
        raise ValueError(
            f'unknown {what} {name!r}; there are {", ".join(table)}, and your own as "package.module:Class"'
        )
    return resolve_plugin(name, base, what)


def plugin_of_call(
    text: str, settings: Mapping[str, object] | None, table: Mapping[str, type[Base]], base: type[Base], what: str
) -> tuple[type[Base], dict[str, object]]:
    """Return the class that NAME or NAME(SETTING=VALUE, ...) stands for, and the settings to make it of.

    Args:
        text: a name of `table` or a path, some with settings in parentheses.
        settings: more of them, by name.
        table: the registry of built-in classes.
        base: class that a plug-in must derive from.
        what: what is looked for, e.g. "estimator", for the error's text.

    Raises:
        ValueError: if the text cannot be read, the name is unknown, or a setting is none of its own or missing.
        TypeError: as in `resolve_plugin`.
    """
    name, values = with_settings(text, settings)
    found = find_plugin(name, table, base, what)
    known = inspect.signature(found).parameters
    for setting in values:
        if setting not in known:
            raise ValueError(f"{what} {name!r} has no setting {setting!r}; it has {', '.join(known) or 'none'}")
    missing = [key for key, parameter in known.items() if _is_needed(parameter) and key not in values]
    if missing:
        raise ValueError(f"{what} {name!r} needs the setting {', '.join(missing)}: {name}({missing[0]}=...)")
    return found, values


def _is_needed(parameter: inspect.Parameter) -> bool:
    is_one = parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return is_one and parameter.default is parameter.empty


def resolve_plugin(path: str, base: type[Base], what: str) -> type[Base]:
    """Import the class at "package.module:Class"; nothing but that module (and what it imports) runs.

    Args:
        path: dotted name of the module, a colon, name of the class.
        base: class that it must derive from.
        what: what is looked for, e.g. "policy", for the error's text.

    Raises:
        ValueError: if the path is malformed, its module does not import, or lacks the name.
        TypeError: if what it names is not a class, not derived from `base`, or lacks methods that `base` asks for.
    """
    if _PATH.fullmatch(path) is None:
        raise ValueError(f'{what} {path!r} must have the form "package.module:Class"')
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # a module of the user's own may raise anything
        raise ValueError(
            f"{what} {path!r}: module {module_name} does not import ({type(error).__name__}: {error}); "
            "check its name, and that it is installed or on PYTHONPATH"
        ) from error
    if not hasattr(module, name):
        raise ValueError(f"{what} {path!r}: module {module_name} has no {name!r}")
    found = getattr(module, name)
    if not isinstance(found, type):
        raise TypeError(f"{what} {path!r} must be a class, got a {type(found).__name__}")
    if not issubclass(found, base):
        raise TypeError(f"{what} {path!r} must be a subclass of {base.__module__}.{base.__name__}, and is not")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise TypeError(f"{what} {path!r} must not be abstract: it lacks {missing}")
    return found


def read_spec(
    settings: Spec | Mapping[str, object] | str,
    table: Mapping[str, type[Base]],
    base: type[Base],
    spec: type[Spec],
    what: str,
) -> Spec:
    """Return the checked settings of a plug-in, as the spec of its kind: the class `Spec` inside the plug-in's class.

    Args:
        settings: `kind` and that kind's settings, as a file's table has them; the kind alone; or a spec, which is
            returned. A pydantic field takes it as a `BeforeValidator`.
        table: the registry of built-in classes; "package.module:Class" is always a kind.
        base: class that a plug-in must derive from.
        spec: class that its `Spec` must derive from, and which a class without settings goes by.
        what: what is looked for, e.g. "draft", for the error's text.

    Raises:
        ValueError: if the kind is missing or unknown, or a setting breaks its rule (pydantic's `ValidationError`).
        TypeError: if the kind names no such class, its `Spec` is of another base, or settings are none of these.
    """
    if isinstance(settings, spec):
        return settings
    values = {"kind": settings} if isinstance(settings, str) else settings
    article = "an" if what[0] in "aeiou" else "a"
    if not isinstance(values, Mapping):
        raise TypeError(f"{article} {what}'s settings must be a table with a kind, got {settings!r}")
    kind = values.get("kind")
    if not isinstance(kind, str):
        raise ValueError(f'{article} {what} needs a kind ({", ".join(table)}, or "package.module:Class"), got {kind!r}')
    own = getattr(find_plugin(kind, table, base, what), "Spec", spec)
    if not (isinstance(own, type) and issubclass(own, spec)):
        raise TypeError(f"{what} {kind!r}: its Spec must derive from {spec.__module__}.{spec.__name__}, and does not")
    return own.model_validate(values)


def for_field(read: Callable[[object], Spec]) -> Callable[[object], Spec]:
    """Return a reader of a pydantic field: its TypeError, too, is then said with the place of the field."""

    def read_field(settings: object) -> Spec:
        try:
            return read(settings)
        except TypeError as error:
            raise ValueError(str(error)) from error

    return read_field


def build_plain(kind: str, base: type[Base], spec: type[BaseModel], what: str) -> Base:
    """Make a plug-in that has no settings, from the path of its class.

    Raises:
        TypeError: if the class needs arguments: it lacks a `Spec`.
        ValueError: as in `resolve_plugin`.
    """
    cls = resolve_plugin(kind, base, what)
    try:
        return cls()
    except TypeError as error:
        raise TypeError(
            f"{what} {kind!r} needs a class Spec({spec.__name__}) for its settings, with a method build that makes "
            f"the {what} of them: {error}"
        ) from error
