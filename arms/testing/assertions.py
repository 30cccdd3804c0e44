"""How every contract check says that a rule is broken: AssertionError, also under `python -O`."""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

TOLERANCE = 1e-9  # for what differs by rounding only

Plugin = TypeVar("Plugin")


def hold(condition: bool, message: str) -> None:
    """Raise AssertionError unless the condition holds; `assert` would vanish under `python -O`."""
    if not condition:
        raise AssertionError(message)


def near(left: ArrayLike, right: ArrayLike, tolerance: float = TOLERANCE) -> bool:
    """Return whether all entries differ by at most `tolerance`."""
    return bool(np.allclose(left, right, rtol=0, atol=tolerance))


def refused(action: Callable[[], object], what: str) -> None:
    """Raise AssertionError unless the action raises ValueError."""
    try:
        action()
    except ValueError:
        return
    raise AssertionError(f"{what} must raise ValueError")


def checked_name(plugin: object) -> str:
    """Return a plug-in's name, which must be a string and not blank."""
    name = getattr(plugin, "name", None)
    if not isinstance(name, str) or not name.strip():
        raise AssertionError(f"{type(plugin).__name__}.name must be a string and not blank, got {name!r}")
    return name


def instance_of(given: Plugin | Callable[[], Plugin], base: type[Plugin], what: str) -> Plugin:
    """Return the plug-in to check: what was given, or what the given factory makes.

    Args:
        given: an instance of `base`, or a callable without arguments, such as a class, that makes one.
        base: class that it must derive from.
        what: what is checked, e.g. "an arm", for the message.

    Raises:
        AssertionError: if that is no instance of `base`.
    """
    made = given if isinstance(given, base) or not callable(given) else given()
    if not isinstance(made, base):
        raise AssertionError(f"{what} must be an instance of {base.__name__}, got {made!r}")
    return made


@contextmanager
def global_generators_untouched(where: str = "") -> Iterator[None]:
    """Raise AssertionError if the body draws from a global generator of `random`, NumPy or, where imported, torch."""
    before = _generators()
    yield
    hold(_generators() == before, f"{where}a global generator of random, numpy or torch must not be used")


def _generators() -> bytes:
    # The legacy generator is read here only to prove that nobody else touched it.
    states = [random.getstate(), np.random.get_state()]  # noqa: NPY002
    torch = sys.modules.get("torch")  # never imported here: what was not imported was not drawn from
    return pickle.dumps([*states, None if torch is None else torch.get_rng_state().tolist()])
