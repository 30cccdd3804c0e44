"""A policy's constructor arguments: read, changed, shown, and written as JSON values."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, fields, is_dataclass, replace
from typing import Any, Protocol, Self, TypeGuard, TypeVar, runtime_checkable

import numpy as np

Settings = TypeVar("Settings")


@runtime_checkable
class _HasParams(Protocol):
    def get_params(self, deep: bool = False) -> dict[str, object]: ...

    def set_params(self, **params: object) -> Self: ...


class UnknownPolicyClassError(ValueError):
    """A saved policy is of a class that is neither built in nor among those that the reader named."""


class Parameters:
    """Stores every constructor argument under its own name; all else here follows from that."""

    def get_params(self, deep: bool = False) -> dict[str, object]:
        """Return the constructor's arguments, from which an unfitted copy can be made.

        Args:
            deep: also return the arguments of a policy inside, as `policy__epsilon`.
        """
        params = {name: self._argument(name) for name in constructor_parameters(type(self))}
        inner = {name: value for name, value in params.items() if deep and _has_params(value)}
        return params | {f"{name}__{key}": v for name, p in inner.items() for key, v in p.get_params(deep).items()}

    def set_params(self, **params: object) -> Self:
        """Change constructor arguments and forget what was learned; `policy__epsilon=0.1` reaches inside.

        Raises:
            ValueError: if an argument is unknown or its value is rejected; then nothing is changed.
        """
        values = self.get_params()
        inside: dict[str, dict[str, object]] = {}
        for key, value in params.items():
            name, nested, rest = key.partition("__")
            if name not in values or (nested and not (_has_params(values[name]) or _is_settings(values[name]))):
                raise ValueError(f"{type(self).__name__} has no argument {key!r}; it has {', '.join(values)}")
            if nested:
                inside.setdefault(name, {})[rest] = value
            else:
                values[name] = value
        copies = _copies(values)
        for name, changes in inside.items():
            copies[name] = _with(copies[name], name, changes)
        changed = type(self)(**copies)
        vars(self).clear()
        vars(self).update(vars(changed))
        return self

    def clone(self) -> Self:
        """Return an unfitted policy with the same parameters."""
        return type(self)(**_copies(self.get_params()))

    def saved_params(self) -> dict[str, object]:
        """Return the constructor's arguments as a file holds them; override it where one is no JSON value."""
        return self.get_params()

    def described(self) -> dict[str, object]:
        """Return class and parameters as JSON values; a policy inside another is described the same way.

        Raises:
            TypeError: if an argument is none of: number, text, bool, None, list of these, settings dataclass, policy.
        """
        cls = type(self)
        params = {name: _to_json(cls.__name__, name, value) for name, value in self.saved_params().items()}
        return {"class": cls.__name__, "path": f"{cls.__module__}:{cls.__qualname__}", "params": params}

    def _argument(self, name: str) -> object:
        """Return the constructor argument of that name."""
        return getattr(self, name)

    def __repr__(self) -> str:
        """Return the constructor call, without the arguments that are the defaults."""
        parts = []
        for name, parameter in constructor_parameters(type(self)).items():
            value = self._argument(name)
            if not _is_default(value, parameter.default):
                keyword = parameter.kind is inspect.Parameter.KEYWORD_ONLY
                parts.append(f"{name}={value!r}" if keyword or not _has_params(value) else repr(value))
        return f"{type(self).__name__}({', '.join(parts)})"


def settings_of(kind: type[Settings], given: Settings | Mapping[str, Any], name: str) -> Settings:
    """Return settings that were given as such, or as their fields, as a saved policy's JSON has them.

    Raises:
        TypeError: if they are neither.
    """
    if isinstance(given, Mapping):
        return kind(**given)
    if not isinstance(given, kind):
        raise TypeError(f"{name} must be {kind.__name__} or its fields, got {given!r}")
    return given


def constructor_parameters(cls: type[Parameters]) -> dict[str, inspect.Parameter]:
    """Return what the constructor takes, by name."""
    parameters = inspect.signature(cls.__init__).parameters
    return {name: parameter for name, parameter in parameters.items() if name != "self"}


def built(description: object, classes: Sequence[type[Parameters]]) -> Parameters:
    """Return the unfitted object that `Parameters.described` described; nothing is imported.

    Args:
        description: class, path and params, from a file.
        classes: those it may be of.

    Raises:
        ValueError: if it is malformed, or two of `classes` have its name and neither its path.
        UnknownPolicyClassError: if it is of another class.
    """
    if not isinstance(description, Mapping):
        raise ValueError(f"a policy must be described by a JSON object, got {description!r:.80}")
    params = description["params"]
    if not isinstance(params, dict):
        raise ValueError("params must be a JSON object")
    values: dict[str, Any] = {}
    for key, value in params.items():
        nested = isinstance(value, dict) and set(value) == {"policy"}
        values[key] = built(value["policy"], classes) if nested else value
    return _class_of(description, classes)(**values)


def _class_of(description: Mapping[str, object], classes: Sequence[type[Parameters]]) -> type[Parameters]:
    name, path = description["class"], description.get("path")
    found = list(dict.fromkeys(cls for cls in classes if cls.__name__ == name))
    if not found:
        raise UnknownPolicyClassError(
            f"class {name!r} ({path}) is not built in: load it with YourClass.load(path), "
            "or load_policy(path, classes=[YourClass])"
        )
    exact = [cls for cls in found if f"{cls.__module__}:{cls.__qualname__}" == path]
    if len(found) > 1 and not exact:
        places = " and ".join(f"{cls.__module__}:{cls.__qualname__}" for cls in found)
        raise ValueError(f"two policy classes are named {name!r}, {places}: rename one, or pass only the one meant")
    return (exact or found)[-1]


def _copies(params: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: value.clone() if isinstance(value, Parameters) else deepcopy(value) if _has_params(value) else value
        for name, value in params.items()
    }


def _with(value: Any, name: str, changes: dict[str, object]) -> Any:
    """Return a policy, an estimator or settings with other arguments."""
    if not _is_settings(value):
        return value.set_params(**changes)
    known = [field.name for field in fields(value)]
    unknown = [key for key in changes if key not in known]
    if unknown:
        raise ValueError(f"{name} has no field {unknown[0]!r}; it has {', '.join(known)}")
    return replace(value, **changes)


def _is_settings(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, type)


def _has_params(value: object) -> TypeGuard[_HasParams]:
    """Return whether a value has parameters of its own: a policy, or an estimator of scikit-learn."""
    return isinstance(value, _HasParams) and not isinstance(value, type)


def _is_default(value: object, default: object) -> bool:
    if _has_params(value):
        return value is default
    return value is default or (type(value) is type(default) and bool(np.all(value == default)))


def _to_json(owner: str, name: str, value: object) -> object:
    if isinstance(value, Parameters):
        return {"policy": value.described()}
    if _is_settings(value):
        return asdict(value)  # type: ignore[call-overload]  # a dataclass, as just seen
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{owner} cannot be saved: argument {name} = {value!r} is not a JSON value") from error
    return value
