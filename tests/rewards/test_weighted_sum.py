import math
import re
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arms import Observation, Reference
from rewards import RelativeSpeed, Reward, RougeL, Speedup, WeightedAverage, WeightedSum

OBSERVATION = Observation(
    arm="a",
    query_id="q",
    text="one two three",
    n_tokens=30,
    seconds=1.0,
    own_text="one two four",
    reference=Reference(text="one two three", seconds=2.0, n_tokens=30),
)
WEIGHTS = st.floats(-1e6, 1e6)


@dataclass(frozen=True)
class Constant(Reward):
    """Sits anywhere within its bounds."""

    value: float
    low: float = 0.0
    high: float = 1.0

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high

    def _value(self, observation: Observation) -> float:
        return self.value


@st.composite
def constants(draw):
    low, value, high = sorted(draw(st.tuples(WEIGHTS, WEIGHTS, WEIGHTS)))
    return Constant(draw(st.sampled_from([low, value, high])), low, high)


def test_is_the_weighted_average_of_alignment_and_speed():
    reward = 0.3 * RougeL() + 0.7 * RelativeSpeed(60.0)
    assert reward(OBSERVATION) == pytest.approx(0.3 * 2 / 3 + 0.7 * 0.5)
    assert reward.bounds == (0.0, 1.0)
    assert reward.name == "0.3 * RougeL + 0.7 * RelativeSpeed"


def test_a_weighted_average_is_that_sum_and_takes_weights_in_0_to_1_only():
    average = WeightedAverage(0.25, RougeL(), RelativeSpeed(60.0))
    assert average.terms == (0.25 * RougeL() + 0.75 * RelativeSpeed(60.0)).terms
    for weight in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=re.escape(f"weight must be a finite number in [0, 1], got {weight}")):
            WeightedAverage(weight, RougeL(), Speedup())


@settings(deadline=None)
@given(st.lists(st.tuples(WEIGHTS, constants()), min_size=1, max_size=6))
def test_value_stays_within_bounds(terms):
    reward = WeightedSum(terms)
    low, high = reward.bounds
    assert low <= reward(OBSERVATION) <= high


@settings(deadline=None)
@given(st.lists(st.tuples(WEIGHTS, constants()), min_size=1, max_size=6))
def test_bounds_are_reached_where_every_term_is_at_its_own(terms):
    at_best = [(w, Constant(r.high if w >= 0 else r.low, r.low, r.high)) for w, r in terms]
    at_worst = [(w, Constant(r.low if w >= 0 else r.high, r.low, r.high)) for w, r in terms]
    low, high = WeightedSum(terms).bounds
    assert (WeightedSum(at_worst)(OBSERVATION), WeightedSum(at_best)(OBSERVATION)) == (low, high)


@settings(deadline=None)
@given(WEIGHTS, WEIGHTS, constants(), constants())
def test_operators_build_the_sum(a, b, first, second):
    built = a * first + second * b
    assert built(OBSERVATION) == WeightedSum([(a, first), (b, second)])(OBSERVATION)
    assert built.bounds == WeightedSum([(a, first), (b, second)]).bounds


def test_sums_of_sums_are_flat():
    rouge, speed, speedup = RougeL(), RelativeSpeed(1.0), Speedup()
    reward = 2.0 * (0.5 * rouge + speed) + 3 * speedup + rouge
    assert reward.terms == ((1.0, rouge), (2.0, speed), (3.0, speedup), (1.0, rouge))
    assert reward.name == "RougeL + 2 * RelativeSpeed + 3 * Speedup + RougeL"
    assert repr(0.5 * rouge) == "WeightedSum([(0.5, RougeL(missing=None))])"


def test_numpy_scalars_are_weights():
    assert (np.float64(0.5) * RougeL()).terms == (0.5 * RougeL()).terms == (RougeL() * np.float32(0.5)).terms


def test_infinite_bounds_combine():
    assert (2 * Speedup() + RougeL()).bounds == (0.0, math.inf)
    assert (-1 * Speedup() + RougeL()).bounds == (-math.inf, 1.0)
    assert (0 * Speedup() + RougeL()).bounds == (0.0, 1.0)


def test_a_term_names_what_it_misses():
    bare = Observation(arm="a", query_id="q", text="", n_tokens=1, seconds=1.0)
    with pytest.raises(ValueError, match="RougeL cannot value the observation of arm 'a' on query 'q': own_text"):
        (RelativeSpeed(1.0) + RougeL())(bare)


@pytest.mark.parametrize("weight", [math.nan, math.inf, True])
def test_weights_must_be_finite_numbers(weight):
    with pytest.raises(ValueError, match=f"a reward's weight must be a finite number, got {weight}"):
        weight * RougeL()


def test_empty_sums_and_strangers_are_refused():
    with pytest.raises(ValueError, match="terms must hold at least one"):
        WeightedSum([])
    with pytest.raises(TypeError, match="a WeightedSum adds instances of Reward, got 'RougeL'"):
        WeightedSum([(1.0, "RougeL")])
    for combine in (lambda: RougeL() + 1.0, lambda: RougeL() * RougeL(), lambda: "2" * RougeL()):
        with pytest.raises(TypeError, match=r"unsupported operand|can't multiply"):
            combine()


def test_an_overflowing_sum_is_refused():
    reward = 1e308 * Constant(1e10, 0.0, 1e10)
    rule = "cannot value the observation of arm 'a' on query 'q': the value must be a finite number, got inf"
    with pytest.raises(ValueError, match=re.escape(rule)):
        reward(OBSERVATION)


class Given(Reward):
    def __init__(self, name, bounds):
        self.name, self.bounds = name, bounds

    def _value(self, observation):
        return 1.0


def test_a_reward_writes_its_value_and_sets_bounds_and_name_in_the_class_or_in_init():
    assert Reward.__abstractmethods__ == {"_value"}
    reward = Given("flat", (0.0, 1.0))
    assert (reward.name, reward.bounds, (2 * reward).name) == ("flat", (0.0, 1.0), "2 * flat")
    assert Speedup().name == "Speedup"
    with pytest.raises(TypeError, match=re.escape("Given must set bounds = (lowest, highest)")):
        _ = 2 * Given("flat", None)


@settings(deadline=None)
@given(constants(), constants(), st.floats(1e-3, 1e3))
def test_differences_negations_and_quotients_are_sums(first, second, divisor):
    for built, expected in (
        (first - second, [(1.0, first), (-1.0, second)]),
        (-first, [(-1.0, first)]),
        (first / divisor, [(1 / divisor, first)]),
        (-(first - second) / 2, [(-0.5, first), (0.5, second)]),
    ):
        assert built.terms == tuple(expected)
        low, high = built.bounds
        assert low <= built(OBSERVATION) <= high


def test_names_of_differences_read_as_formulas():
    assert (RougeL() - Speedup() / 2).name == "RougeL - 0.5 * Speedup"
    assert (-RougeL() + Speedup()).name == "-RougeL + Speedup"


def test_a_reward_is_not_divided_by_0_or_by_a_reward():
    with pytest.raises(ValueError, match="a reward's divisor must not be 0, got RougeL / 0"):
        RougeL() / 0
    for combine in (lambda: RougeL() / RougeL(), lambda: 1 / RougeL(), lambda: RougeL() - 1, lambda: 1 - RougeL()):
        with pytest.raises(TypeError, match="unsupported operand"):
            combine()
