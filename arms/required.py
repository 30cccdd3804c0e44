"""Attributes that a subclass must set, wherever it likes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    required = property
else:

    class required:  # a decorator, named like property
        """Declare an attribute that a subclass must set: as a class attribute, as a property, or in `__init__`.

        Decorates a method of the base class: its docstring and type count, its body (`raise NotImplementedError`) never
        runs. Reading the attribute before it is set raises an AttributeError that says what to do. Type checkers see
        a property.
        """

        def __init__(self, method: Callable[[object], object]) -> None:
            self.__doc__ = method.__doc__
            self._name = method.__name__

        def __get__(self, instance: object, owner: type) -> object:
            # without __set__, an instance's own attribute hides this one
            if instance is None:
                return self
            raise AttributeError(
                f"{owner.__name__} must set {self._name}: as a class attribute, as a property, or in __init__"
            )
