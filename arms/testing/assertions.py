"""How the contract checks say that a law is broken: AssertionError, also under `python -O`."""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import ArrayLike

TOLERANCE = 1e-9  # for what differs by rounding only


def hold(law: bool, message: str) -> None:
    """Raise AssertionError unless the law holds."""
    if not law:
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
