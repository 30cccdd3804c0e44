"""A trial finds the better policy from a log of exact propensities, and is not fooled where there is nothing to see."""

import math

import numpy as np
import pytest

from bandits import Decision, Uniform
from bandits.online import Rollout, Trial
from bandits.online.rollout import largest_share

NAMES = ("old", "new")


def decisions(n, share, exploration, seed=0):
    """Decisions of a rollout whose policy proposes `new` with 0.9."""
    rng = np.random.default_rng(seed)
    p_new = share * 0.9 + exploration / 2
    for _ in range(n):
        arm = NAMES[int(rng.random() < p_new)]
        probabilities = {"old": 1 - p_new, "new": p_new}
        yield Decision(arm, NAMES.index(arm), probabilities[arm], probabilities, {"old": 0.1, "new": 0.9}), rng


def trial(share=0.1, exploration=0.2, bounds=(-1.0, 0.0)):
    rollout = Rollout(Uniform(NAMES), "old", share=share, exploration=exploration)
    return Trial("old", bounds, most_weight=rollout.most_weight("old"))


@pytest.mark.parametrize(("new", "better", "worse"), [(-0.2, True, False), (-0.4, False, True), (-0.3, False, False)])
def test_better_and_worse_are_told_apart_and_equal_is_neither(new, better, worse):
    running = trial()
    for decision, rng in decisions(4000, 0.1, 0.2):
        mean = {"old": -0.3, "new": new}[decision.arm]
        running.take(decision, mean + rng.uniform(-0.1, 0.1))
    low, high = running.interval
    assert (running.is_better, running.is_worse) == (better, worse)
    assert low <= 0.9 * (new + 0.3) <= high
    assert running.estimate == pytest.approx(0.9 * (new + 0.3), abs=0.03)
    assert running.n == 4000


def test_without_any_share_for_other_arms_nothing_is_told():
    running = trial(share=0.0, exploration=0.0)
    for decision, _ in decisions(100, 0.0, 0.0):
        running.take(decision, -0.5)
    assert (running.n, running.n_passed_over) == (0, 100)
    assert (running.is_better, running.is_worse, running.interval) == (False, False, (-1.0, 1.0))
    assert math.isnan(running.estimate)


def test_decisions_of_other_shares_or_without_the_incumbent_are_passed_over():
    running = trial(share=0.5, exploration=0.5)
    [(foreign, _)] = decisions(1, 0.0, 0.01, seed=0)
    running.take(Decision("new", 1, 0.005, foreign.probabilities, foreign.proposed), -0.5)
    running.take(Decision("new", 1, 1.0, {"old": 0.0, "new": 1.0}, {"old": 0.0, "new": 1.0}), -0.5)
    running.take(Decision("old", 0, 1.0, {"old": 1.0}, None), -0.5)
    assert (running.n, running.n_passed_over) == (0, 3)


def test_the_interval_is_wrong_at_any_time_in_at_most_the_level_of_runs():
    wrong = 0
    for seed in range(60):
        running = trial(share=0.3, exploration=0.2, bounds=(0.0, 1.0))
        looks = []
        for decision, rng in decisions(200, 0.3, 0.2, seed):
            running.take(decision, float(rng.random() < 0.5))
            if running.n % 10 == 0:
                low, high = running.interval
                looks.append(low <= 0 <= high)
        wrong += not all(looks)
    assert wrong <= 3


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (1.0, 0.0), (0.0, math.inf), (math.nan, 1.0)])
def test_bounds_that_no_reward_can_be_a_share_of_are_refused(bounds):
    with pytest.raises(ValueError, match="reward_bounds must be"):
        trial(bounds=bounds)


def test_a_reward_beyond_its_bounds_is_refused():
    [(decision, _)] = decisions(1, 0.1, 0.2)
    with pytest.raises(ValueError, match="reward, as a share of its range"):
        trial().take(decision, 0.5)


@pytest.mark.parametrize("exploration", [0.0, 0.1, 0.33, 0.7, 0.8, 0.9, 1.0])
def test_what_a_rollout_takes_as_its_share_a_trial_takes_too(exploration):
    share = largest_share(exploration)
    assert Rollout(Uniform(NAMES), "old", share=share, exploration=exploration).share == share
    assert trial(share, exploration).interval == (-1.0, 1.0)
