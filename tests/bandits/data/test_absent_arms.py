"""Arms that came or went while a log was written are found by time, and accidents are not taken for it."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import LoggedData, Uniform, estimate
from bandits.data.absent_arms import absent_arms


def logged(n=600, came=0, went=600):
    """Arms a and b alike, and c, which could be chosen from row `came` to row `went` only; in no order of time."""
    rng = np.random.default_rng(0)
    times = np.arange(n, dtype=np.float64)
    there = (times >= came) & (times < went)
    actions = np.where(there, rng.integers(3, size=n), rng.integers(2, size=n))
    propensities = np.where(there, 1 / 3, 1 / 2)
    log = LoggedData(rng.normal(size=(n, 2)), actions, rng.normal(size=n), propensities, ("a", "b", "c"), times=times)
    return log.subset(rng.permutation(n))


@pytest.mark.parametrize(("came", "went"), [(200, 600), (0, 400), (200, 400)])
def test_the_rows_before_an_arm_came_and_after_it_went_are_marked(came, went):
    log = logged(came=came, went=went)
    taken = log.times[log.actions == 2]
    marked = absent_arms(log)
    assert not marked[:, :2].any()
    early = (log.times < taken.min()) & (came > 0)
    assert (marked[:, 2] == early | ((log.times > taken.max()) & (went < 600))).all()


def test_accidents_and_what_the_log_says_itself_are_not_marked():
    assert not absent_arms(logged()).any()
    assert not absent_arms(logged().subset(np.arange(8))).any()
    assert absent_arms(replace(logged(came=200), times=None)) is None
    log = logged(came=200)
    available = np.ones((len(log), 3), np.bool_)
    available[:, 2] = log.times >= 200
    assert not absent_arms(replace(log, available=available)).any()
    never = replace(log, arm_names=("a", "b", "c", "never"))
    assert (absent_arms(never)[:, :3] == absent_arms(log)).all()
    assert not absent_arms(never)[:, 3].any()


def test_an_estimate_says_how_much_of_the_policy_lies_outside_an_arms_time():
    policy = Uniform(("a", "b", "c"))
    said = estimate(policy, logged(came=200)).to_text(400)
    assert "11% of the policy's probability lies on 'c' before its first decision in the log or after its last" in said
    assert "before its first" not in estimate(policy, logged()).to_text(400)
