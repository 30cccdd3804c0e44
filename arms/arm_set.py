"""The arms a policy may choose from."""

import operator
from collections.abc import Iterable, Iterator
from typing import Generic, SupportsIndex, TypeVar

from arms.arm import Arm
from arms.checks import check_order

A = TypeVar("A", bound=Arm)


class ArmSet(Generic[A]):
    """Arms in the order they were added, each reached by its name or its index (the `action`).

    Adding appends, so it never renumbers the arms already there; removing closes the gap. Logs and policies
    therefore identify an arm by name.

    Args:
        arms: The first arms.

    Raises:
        TypeError: if one is not an `Arm`, or they come as a set, which has no order.
        ValueError: if two share a name or one has a blank name.
    """

    def __init__(self, arms: Iterable[A] = ()) -> None:
        check_order(arms, "arms")
        self._arms: dict[str, A] = {}
        for arm in arms:
            self.add(arm)

    @property
    def names(self) -> tuple[str, ...]:
        """(k,) names of the arms, by index."""
        return tuple(self._arms)

    def add(self, arm: A) -> None:
        """Append an arm.

        Raises:
            TypeError: if it is not an `Arm`.
            ValueError: if its name is blank or taken.
        """
        if not isinstance(arm, Arm):
            raise TypeError(f"an ArmSet holds instances of Arm, got {arm!r}")
        name = getattr(arm, "name", None)
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"{type(arm).__name__} must set a name, in the class or in __init__: a string, not blank; got {name!r}"
            )
        if name in self._arms:
            raise ValueError(f"arm names must be unique, got a second {name!r}; remove the first or rename one")
        self._arms[name] = arm

    def remove(self, name: str) -> None:
        """Take the arm of that name out; the arms after it move up by one.

        Raises:
            ValueError: if there is none.
        """
        self._check_known(name)
        del self._arms[name]

    def index(self, name: str) -> int:
        """Give the index of the arm of that name.

        Raises:
            ValueError: if there is none.
        """
        self._check_known(name)
        return self.names.index(name)

    def __getitem__(self, key: str | SupportsIndex) -> A:
        """Give an arm by name or by index.

        Raises:
            ValueError: if no arm has that name.
            IndexError: if the index is out of range.
        """
        if isinstance(key, str):
            self._check_known(key)
            return self._arms[key]
        index = operator.index(key)
        if not -len(self) <= index < len(self):
            raise IndexError(f"arm index must be in [0, {len(self)}), got {index}")
        return self._arms[self.names[index]]

    def __len__(self) -> int:
        return len(self._arms)

    def __iter__(self) -> Iterator[A]:
        return iter(self._arms.values())

    def __contains__(self, name: object) -> bool:
        return name in self._arms

    def __repr__(self) -> str:
        return f"ArmSet({list(self._arms)})"

    def _check_known(self, name: str) -> None:
        if name not in self._arms:
            raise ValueError(f"no arm is named {name!r}; the set has {list(self._arms)}")
