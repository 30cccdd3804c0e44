"""Policies to files and back: class, parameters and arms in the header, what was learned as arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Self, TypeVar, cast

from bandits.policies import codec
from bandits.policies.parameters import Parameters, UnknownPolicyClassError, built
from bandits.policies.state import Arrays, PolicyState, check_finite


class SavedPolicy(Parameters, ABC):
    """What of a `Policy` saving and loading need."""

    @property
    @abstractmethod
    def arm_names(self) -> tuple[str, ...]:
        """Return the arms."""

    @property
    @abstractmethod
    def state(self) -> PolicyState | None:
        """Return what has been learned."""

    @state.setter
    @abstractmethod
    def state(self, state: PolicyState | None) -> None: ...

    @abstractmethod
    def start(self, arm_names: Sequence[str], n_features: int, encoder: str | None = None) -> None:
        """Begin with these arms and this context size."""

    def check_state(self) -> None:
        """Reject a saved state that makes no policy; a subclass says which. Called when it is loaded.

        Raises:
            RuntimeError: naming the arm.
        """

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject saved arrays that no rows can have led to; a subclass says which. Called before `start`.

        Args:
            arrays: as `PolicyState.tensors` names them, finite; one may be missing or of a wrong shape.

        Raises:
            ValueError: naming the array.
        """

    def save(self, path: str | Path) -> Path:
        """Write the policy to a folder or a .safetensors file, with JSON metadata, and return the file's path.

        Raises:
            TypeError: if a constructor argument is none of: number, text, bool, None, list of these, settings
                dataclass, policy.
        """
        state = self.state
        header = {
            **self.described(),
            "arm_names": list(self.arm_names),
            "n_features": state.n_features if state else None,
            "encoder": state.encoder if state else None,
            "n_rows": state.n_rows if state else 0,
        }
        return codec.write_file(path, header, state.tensors() if state else {})

    @classmethod
    def load(cls, path: str | Path, *, classes: Sequence[type[SavedPolicy]] = ()) -> Self:
        """Read what `save` wrote, also for classes of your own.

        Args:
            path: the file, or the folder that holds it.
            classes: further classes that the file may hold; those that are imported already are known.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if the file is damaged, from a newer version, or holds a policy of another class.
        """
        known: list[type[SavedPolicy]] = [cls, *classes]
        others = [other for other in _subclasses(SavedPolicy) if all(other.__name__ != one.__name__ for one in known)]
        policy = read_policy(path, [*others, *known])
        if not isinstance(policy, cls):
            raise ValueError(f"{path} holds a {type(policy).__name__}, not a {cls.__name__}")
        return policy


Saved = TypeVar("Saved", bound=SavedPolicy)


def read_policy(path: str | Path, classes: Sequence[type[Saved]]) -> Saved:
    """Read a saved policy of one of `classes`; nothing is imported.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, from a newer version, or of another class.
    """
    file = codec.policy_path(path)
    header, tensors = codec.read_file(path)
    try:
        policy = cast("Saved", built(header, classes))
        names, n_features, encoder = header["arm_names"], header["n_features"], header.get("encoder")
        n_rows = header.get("n_rows", 0)
        if not isinstance(names, list):
            raise ValueError(f"arm_names must be a list, got {names!r}")
        if n_features is None:
            if tensors:
                raise ValueError("damaged metadata: n_features is missing")
            return policy
        if type(n_features) is not int or n_features < 1 or not isinstance(encoder, str | None):
            raise ValueError(f"damaged metadata: n_features {n_features!r}, encoder {encoder!r}")
        if type(n_rows) is not int or n_rows < 0:
            raise ValueError(f"damaged metadata: n_rows {n_rows!r}")
        check_finite(tensors)
        policy.check_arrays(tensors)
        _check_shapes(policy, tuple(names), n_features, tensors)
        policy.start(tuple(names), n_features, encoder)
        policy.state = replace(cast("PolicyState", policy.state).with_tensors(tensors), n_rows=n_rows)
        policy.check_state()
    except (KeyError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        kind = UnknownPolicyClassError if isinstance(error, UnknownPolicyClassError) else ValueError
        raise kind(f"{file} cannot be loaded: {error}") from error
    return policy


def _check_shapes(policy: SavedPolicy, arm_names: tuple[str, ...], n_features: int, tensors: Arrays) -> None:
    """Compare shapes with those of small states, so that a small file cannot ask for much memory.

    Sides grow linearly with the number of features; where a class's do not, `start` is left to find out.
    """
    small = [_shapes(policy, arm_names, n) for n in (1, 2, 3)]
    for name, first in small[0].items():
        second, third = small[1][name], small[2][name]
        steps = [b - a for a, b in zip(first, second, strict=True)]
        if [b - a for a, b in zip(second, third, strict=True)] != steps or name not in tensors:
            continue
        expected = tuple(side + step * (n_features - 1) for side, step in zip(first, steps, strict=True))
        shape = tensors[name].shape
        if len(shape) != len(expected) or any(
            want not in (0, have) for have, want in zip(shape, expected, strict=True)
        ):
            raise ValueError(
                f"{name} must be of shape {expected} for {len(arm_names)} arms and {n_features} features, got {shape}"
            )


def _shapes(policy: SavedPolicy, arm_names: tuple[str, ...], n_features: int) -> dict[str, tuple[int, ...]]:
    policy.start(arm_names, n_features)
    return {name: array.shape for name, array in cast("PolicyState", policy.state).tensors().items()}


def _subclasses(cls: type[SavedPolicy]) -> Iterator[type[SavedPolicy]]:
    """Yield the policy classes that are imported."""
    for derived in cls.__subclasses__():
        yield derived
        yield from _subclasses(derived)
