"""What a policy has learned, as named arrays that are never changed in place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

import numpy as np

Derived = TypeVar("Derived")
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class PolicyState:
    """All that a policy has learned; saving, adding and removing arms need nothing else.

    A state is never changed: an update makes another one, so that a decision that began with this one ends with it,
    whatever other threads learn meanwhile.

    Attributes:
        arm_names: the k arms.
        n_features: d, the size of a context.
        per_arm: arrays whose first axis counts the arms.
        shared: arrays that belong to no arm. In both, an axis that begins at length 0 may grow with the rows
            learned from; an arm added later has zeros there.
        encoder: name of the context encoder of the data learned from, where they told it.
        n_rows: how many rows were learned from.
        derived: what was worked out from the arrays, kept by `derive`; never saved.
    """

    arm_names: tuple[str, ...]
    n_features: int
    per_arm: Arrays = field(default_factory=dict)
    shared: Arrays = field(default_factory=dict)
    encoder: str | None = None
    n_rows: int = 0
    derived: dict[Hashable, object] = field(default_factory=dict, repr=False)

    def updated(self, per_arm: Arrays | None = None, shared: Arrays | None = None) -> PolicyState:
        """Return a state with these arrays in place of those of the same name.

        What was derived is kept where no array is replaced: others beside them change nothing of it.
        """
        is_replaced = not (
            self.per_arm.keys().isdisjoint(per_arm or ()) and self.shared.keys().isdisjoint(shared or ())
        )
        return PolicyState(
            self.arm_names,
            self.n_features,
            self.per_arm if per_arm is None else {**self.per_arm, **per_arm},
            self.shared if shared is None else {**self.shared, **shared},
            self.encoder,
            self.n_rows,
            {} if is_replaced else dict(self.derived),
        )

    def __deepcopy__(self, memo: object) -> PolicyState:
        """Return this state: nobody changes it, and copying would trip over what other threads derive meanwhile."""
        return self

    def derive(self, key: Hashable, make: Callable[[], Derived]) -> Derived:
        """Return `make()`, a function of the arrays, computed on first use and kept with the state.

        Two threads that ask at once may both compute it; they get equal values.
        """
        if key not in self.derived:
            self.derived[key] = make()
        return cast("Derived", self.derived[key])

    def with_arm(self, name: str, known: Arrays) -> PolicyState:
        """Return a state with one more arm, last in order.

        Args:
            name: of the arm.
            known: what it begins with, one row an array; see `with_known`.
        """
        per_arm = {
            key: np.concatenate([array, _row_like(array, known.get(key))]) for key, array in self.per_arm.items()
        }
        return replace(self, arm_names=(*self.arm_names, name), per_arm=per_arm, derived={})

    def with_known(self, index: int, known: Arrays) -> PolicyState:
        """Return a state that has forgotten what it knew of an arm, and knows this instead.

        Args:
            index: of the arm.
            known: one row an array; where there is none, or the array grows with the rows, zeros are taken.
        """
        per_arm = {}
        for key, array in self.per_arm.items():
            per_arm[key] = array.copy()
            per_arm[key][[index]] = _row_like(array, known.get(key))
        return replace(self, per_arm=per_arm, derived={})

    def without_arm(self, index: int) -> PolicyState:
        """Return a state that has forgotten an arm."""
        per_arm = {key: np.delete(array, index, axis=0) for key, array in self.per_arm.items()}
        names = self.arm_names[:index] + self.arm_names[index + 1 :]
        return replace(self, arm_names=names, per_arm=per_arm, derived={})

    def tensors(self) -> dict[str, np.ndarray]:
        """Return all arrays, named `per_arm.X` and `shared.X`, for `with_tensors`."""
        groups = (("per_arm", self.per_arm), ("shared", self.shared))
        return {f"{group}.{name}": array for group, arrays in groups for name, array in arrays.items()}

    def with_tensors(self, tensors: Arrays) -> PolicyState:
        """Return this state, which knows nothing yet, with saved arrays.

        Raises:
            ValueError: if they are not the arrays of this policy, these arms and this context size, or not finite.
        """
        expected = self.tensors()
        if set(expected) != set(tensors):
            raise ValueError(f"it must hold the arrays {sorted(expected)}, got {sorted(tensors)}")
        check_finite(tensors)
        grown: set[int] = set()  # lengths of axes that grow with the rows learned from; all must be one
        for name, array in expected.items():
            saved = tensors[name]
            sides = list(zip(saved.shape, array.shape, strict=False))
            grown |= {have for have, want in sides if want == 0}
            fits = saved.ndim == array.ndim and all(want in (have, 0) for have, want in sides) and len(grown) <= 1
            if not fits or saved.dtype != array.dtype:
                raise ValueError(
                    f"{name} must be {array.dtype} of shape {array.shape} for {len(self.arm_names)} arms and "
                    f"{self.n_features} features, got {saved.dtype} of shape {saved.shape}"
                )
        groups = {
            group: {name.partition(".")[2]: array for name, array in tensors.items() if name.startswith(f"{group}.")}
            for group in ("per_arm", "shared")
        }
        return replace(self, per_arm=groups["per_arm"], shared=groups["shared"], derived={})


def _row_like(array: np.ndarray, row: np.ndarray | None) -> np.ndarray:
    """Return one more row for an array: the one given, if it has the shape of the others, else zeros."""
    if row is not None and row.shape[1:] == array.shape[1:]:
        return row
    return np.zeros((1, *array.shape[1:]), array.dtype)


def check_finite(arrays: Arrays) -> None:
    """Reject arrays that hold NaN or infinity, by name."""
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} must be finite")


def check_positive(arrays: Arrays, name: str) -> None:
    """Reject values that are not above zero in the array of this name, where there is such."""
    if name in arrays and arrays[name].size and arrays[name].min() <= 0:
        raise ValueError(f"{name} must be positive, got {arrays[name].min()}: save the policy again")


def check_not_negative(arrays: Arrays, *names: str) -> None:
    """Reject values below zero in the arrays of these names, where there are such."""
    for name in names:
        if name in arrays and arrays[name].size and arrays[name].min() < 0:
            raise ValueError(f"{name} must not be negative, got {arrays[name].min()}: save the policy again")
