"""An interval that holds at every look."""

import numpy as np

from bandits import IPS, SNIPS
from bandits.off_policy import Anytime, EmpiricalBernstein, lower_confidence_sequence
from tests.support.enumerated_problem import EnumeratedProblem

PROBLEM = EnumeratedProblem()
BOUNDS = {"reward_range": (-1.0, 2.0), "max_weight": PROBLEM.max_weight}


def test_its_bounds_are_the_last_of_the_two_sequences():
    terms = IPS().terms(PROBLEM.draw(400, np.random.default_rng(0), **BOUNDS))
    low, high = terms.range
    interval = Anytime().interval(terms, 0.9)
    assert interval.low == max(-1.0, lower_confidence_sequence(terms.numerator, low, 2.0, 0.05)[-1])
    assert interval.high == min(2.0, -lower_confidence_sequence(-terms.numerator, -high, 1.0, 0.05)[-1])
    assert interval.low < PROBLEM.value < interval.high


def test_no_look_at_a_growing_log_misses_the_value():
    rng = np.random.default_rng(1)
    missed = 0
    for _ in range(20):
        problem = PROBLEM.draw(600, rng, **BOUNDS)
        terms = IPS().terms(problem)
        low, high = terms.range
        below = lower_confidence_sequence(terms.numerator, low, 2.0, 0.025)
        above = -lower_confidence_sequence(-terms.numerator, -high, 1.0, 0.025)
        missed += bool(((below > PROBLEM.value) | (above < PROBLEM.value)).any())
    assert missed <= 2


def test_it_is_refused_as_the_guarantee_of_one_look_is():
    rng = np.random.default_rng(2)
    unbounded, bounded = PROBLEM.draw(50, rng), PROBLEM.draw(50, rng, **BOUNDS)
    for terms in (IPS().terms(unbounded), SNIPS().terms(bounded)):
        assert Anytime().interval(terms).refused == EmpiricalBernstein().interval(terms).refused is not None
