"""Arms named by a caller, and masks of those that may be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool


def arm_index(arm_names: tuple[str, ...], name: str) -> int:
    """Return an arm's place, or raise ValueError naming the arms there are."""
    if name not in arm_names:
        raise ValueError(f"unknown arm {name!r}; the policy's arms are {', '.join(arm_names) or '(none)'}")
    return arm_names.index(name)


def as_mask(arm_names: tuple[str, ...], available: ArrayLike | None, n_rows: int) -> Bool | None:
    """Return `available`, a mask or names of arms, as (n_rows, k) bool."""
    if available is None:
        return None
    if not are_names(available):
        return checks.availability(available, n_rows, len(arm_names))
    row = np.zeros(len(arm_names), np.bool_)
    for name in cast("Sequence[str]", available):
        row[arm_index(arm_names, name)] = True
    return np.broadcast_to(row, (n_rows, len(row)))


def are_names(available: ArrayLike) -> bool:
    """Return whether arms are named, not masked."""
    if not isinstance(available, list | tuple):
        return False
    if len(available) == 0:
        raise ValueError("available must name at least one arm, or be a mask; got nothing")
    return isinstance(available[0], str)
