"""Checks of numbers take those of Python and NumPy alike, and refuse the rest by name, rule and value."""

from fractions import Fraction

import numpy as np
import pytest

from arms import checks

NOT_NUMBERS = [True, "1", None, float("nan"), float("inf"), 1j, [1.0]]


@pytest.mark.parametrize("check", [checks.number, checks.positive, checks.not_negative])
@pytest.mark.parametrize("value", NOT_NUMBERS)
def test_what_is_no_finite_number_is_refused(check, value):
    with pytest.raises(ValueError, match=r"width must be a finite number.*, got "):
        check(value, "width")


@pytest.mark.parametrize("check", [checks.number, checks.positive, checks.not_negative])
@pytest.mark.parametrize("value", [10**400, Fraction(10**400)])
def test_a_number_beyond_float64_is_no_finite_number(check, value):
    with pytest.raises(ValueError, match=r"width must be a finite number.*, got a number beyond the range of float64"):
        check(value, "width")


@pytest.mark.parametrize("value", [2, 2.0, np.float32(2), np.int64(2), np.float64(2)])
def test_numbers_of_either_library_become_floats(value):
    for check in (checks.number, checks.positive, checks.not_negative):
        assert check(value, "width") == 2.0
        assert type(check(value, "width")) is float


def test_zero_is_not_negative_and_not_positive():
    assert checks.not_negative(0, "width") == 0.0
    with pytest.raises(ValueError, match="width must be a finite number > 0, got 0"):
        checks.positive(0, "width")
    with pytest.raises(ValueError, match="width must be a finite number >= 0, got -1e-300"):
        checks.not_negative(-1e-300, "width")


@pytest.mark.parametrize("value", [0, 1, 1.5, -0.1, float("nan"), "half", True])
def test_a_share_lies_strictly_between_zero_and_one(value):
    with pytest.raises(ValueError, match=r"part must be in \(0, 1\), got"):
        checks.share(value, "part")
    assert checks.share(0.5, "part") == 0.5


@pytest.mark.parametrize("value", [2, 3.0, True, "3", None])
def test_an_integer_below_the_least_or_none_at_all_is_refused(value):
    with pytest.raises(ValueError, match="size must be an integer >= 3, got"):
        checks.at_least(value, 3, "size")
    assert type(checks.at_least(np.int32(3), 3, "size")) is int
