"""Checks of single numbers at the border: each returns the value, or names it, the rule and what was given."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import SupportsFloat, SupportsInt


def number(value: SupportsFloat, what: str, rule: str = "a finite number") -> float:
    """Return a finite real number, of Python or NumPy; a bool is none.

    Args:
        value: to check.
        what: its name, for the error.
        rule: what it must be, for the error.

    Raises:
        ValueError: naming the value, if it is no finite number.
    """
    try:
        if not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value):
            return float(value)
    except OverflowError:
        raise ValueError(f"{what} must be {rule}, got a number beyond the range of float64") from None
    raise ValueError(f"{what} must be {rule}, got {value!r}")


def positive(value: SupportsFloat, what: str) -> float:
    """Return `value`, a finite number above zero."""
    rule = "a finite number > 0"
    if number(value, what, rule) <= 0:
        raise ValueError(f"{what} must be {rule}, got {value!r}")
    return float(value)


def not_negative(value: SupportsFloat, what: str) -> float:
    """Return `value`, a finite number not below zero."""
    rule = "a finite number >= 0"
    if number(value, what, rule) < 0:
        raise ValueError(f"{what} must be {rule}, got {value!r}")
    return float(value)


def share(value: SupportsFloat, what: str) -> float:
    """Return `value`, a number strictly between zero and one."""
    rule = "in (0, 1)"
    if not 0 < number(value, what, rule) < 1:
        raise ValueError(f"{what} must be {rule}, got {value!r}")
    return float(value)


def within(value: SupportsFloat, low: float, high: float, what: str) -> float:
    """Return `value`, a finite number in [low, high]."""
    rule = f"a finite number in [{low:g}, {high:g}]"
    if not low <= number(value, what, rule) <= high:
        raise ValueError(f"{what} must be {rule}, got {value!r}")
    return float(value)


def at_least(value: SupportsInt, least: int, what: str) -> int:
    """Return `value`, an integer, of Python or NumPy, not below `least`; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{what} must be an integer >= {least}, got {value!r}")
    return int(value)


def whole(value: SupportsInt, low: int, high: int, what: str) -> int:
    """Return `value`, an integer in [low, high], of Python or NumPy; a bool is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not low <= int(value) <= high:
        raise ValueError(f"{what} must be an integer in [{low:,}, {high:,}], got {value!r}")
    return int(value)


def scale(value: SupportsFloat, what: str) -> float:
    """Return `value`, a factor of other numbers: in [1e-150, 1e150], beyond which products would overflow."""
    return within(value, 1e-150, 1e150, what)


def check_order(values: object, what: str) -> None:
    """Reject a set, which has another order in every run."""
    if isinstance(values, set | frozenset):
        raise TypeError(f"{what} must have an order, got a set, which has another in every run: pass a list")
