import math
import re

import pytest

from arms import Observation, Reference
from rewards import OnFailure, RelativeSpeed, RougeL, Speedup, TimeSaved

GOOD = Observation("a", "q", "t", n_tokens=4, seconds=1.0, own_text="t", reference=Reference("t", 2.0, 4))
FAILED = Observation.failed("a", "q", TimeoutError("no answer"), seconds=30.0)


@pytest.mark.parametrize("reward", [Speedup(), TimeSaved(), RougeL(missing=1.0), RelativeSpeed(5.0), 2 * Speedup()])
def test_no_reward_values_a_failed_pull_unless_told_what_it_is_worth(reward):
    rule = "cannot value the observation of arm 'a' on query 'q': the pull failed (TimeoutError: no answer); say"
    with pytest.raises(ValueError, match=re.escape(rule)):
        reward(FAILED)
    assert OnFailure(reward, -1.0)(FAILED) == -1.0
    assert OnFailure(reward, -1.0)(GOOD) == reward(GOOD)


def test_bounds_hold_the_value_of_a_failure():
    assert OnFailure(Speedup(), -3).bounds == (-3.0, math.inf)
    assert OnFailure(RougeL(), 2.0).bounds == (0.0, 2.0)
    assert OnFailure(RougeL(), 2.0).name == "OnFailure(RougeL, 2)"


def test_a_sum_is_worth_what_its_terms_say():
    reward = OnFailure(Speedup(), 1.0) + 0.5 * OnFailure(RougeL(), -1.0)
    assert reward(FAILED) == 0.5
    with pytest.raises(ValueError, match=re.escape("RougeL cannot value the observation of arm 'a'")):
        (OnFailure(Speedup(), 1.0) + RougeL())(FAILED)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_failure_is_worth_a_finite_number(value):
    with pytest.raises(ValueError, match="value must be a finite number"):
        OnFailure(Speedup(), value)


def test_only_rewards_are_wrapped():
    with pytest.raises(TypeError, match="OnFailure wraps an instance of Reward, got 'speedup'"):
        OnFailure("speedup", 0.0)


def test_failed_pulls_do_not_set_the_fastest_speed():
    assert RelativeSpeed.fitted([GOOD, FAILED, Observation.failed("a", "q", "down", 0.0)]).fastest == 4.0
    with pytest.raises(ValueError, match="needs at least one observation of a pull that did not fail"):
        RelativeSpeed.fitted([FAILED])
