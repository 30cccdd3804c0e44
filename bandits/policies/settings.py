"""A policy from a name and settings, as a command line or a file gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, get_type_hints

from pydantic import ConfigDict, PydanticUserError, TypeAdapter, ValidationError

from arms.named_call import with_settings
from arms.plugin import find_plugin
from bandits.policies.parameters import constructor_parameters
from bandits.policies.policy import Policy


def policy_of_settings(name: str, settings: Mapping[str, object], table: Mapping[str, type[Policy]]) -> Policy:
    """Build an unfitted policy; see `bandits.policies.make_policy`.

    Args:
        name: a name in `table`, or "package.module:Class", some with settings in parentheses.
        settings: the constructor's arguments, each checked against its annotation; the constructor checks its rule.
        table: the policies with a name.
    """
    name, settings = with_settings(name, settings)
    cls = find_plugin(name, table, Policy, "policy")
    known = [key for key in constructor_parameters(cls) if key != "arm_names"]
    values: dict[str, object] = {}
    inside: dict[str, dict[str, object]] = {}
    for key, value in settings.items():
        argument, nested, rest = key.partition("__")
        if argument not in known:
            raise ValueError(f"{name} has no setting {key!r}; it has {', '.join(known) or 'none'}")
        if nested:
            inside.setdefault(argument, {})[rest] = value
        else:
            values[argument] = value
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # annotations that exist for a type checker only
        hints = {}
    for argument, value in values.items():
        if isinstance(value, str) and Policy in _parts_of(hints.get(argument)):
            values[argument] = policy_of_settings(value, inside.pop(argument, {}), table)
        else:
            values[argument] = _checked(name, argument, value, hints.get(argument, object))
    policy = _built(cls, name, values)
    changes = {f"{argument}__{key}": value for argument, rest in inside.items() for key, value in rest.items()}
    return policy.set_params(**changes) if changes else policy


def _built(cls: type[Policy], name: str, values: Mapping[str, object]) -> Policy:
    missing = [
        key
        for key, parameter in constructor_parameters(cls).items()
        if parameter.default is parameter.empty and key not in values
    ]
    if missing:
        raise ValueError(f"{name} needs the setting {', '.join(missing)}")
    return cls(**values)  # type: ignore[arg-type]  # checked against the annotations


def _checked(name: str, argument: str, value: object, hint: object) -> object:
    """Return a value of the annotated type, strictly: no text for a number, no 1 for true."""
    try:
        adapter: TypeAdapter[object] = TypeAdapter(cast("Any", hint), config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:  # a type that pydantic cannot check: the constructor does
        return value
    try:
        adapter.validate_python(value, strict=True)
    except ValidationError as error:
        wanted = getattr(hint, "__name__", None) or str(hint)
        raise TypeError(f"{name}: {argument} must be {wanted}, got {value!r}") from error
    return value


def _parts_of(hint: object) -> tuple[object, ...]:
    """Return the members of a union, or the type alone."""
    return getattr(hint, "__args__", None) or (hint,)
