"""UCB1 against its formula, and its regret against the paper's bound."""

import numpy as np
import pytest

from bandits import UCB1, LoggedData
from bandits.testing import example_data, example_log


def row(action, reward):
    return LoggedData(np.ones((1, 1)), np.array([action]), np.array([reward]), np.ones(1), ("a", "b", "c"))


def test_bounds_follow_the_formula():
    log = example_log()
    policy = UCB1(ucb_width=0.5).fit(log)
    counts = np.bincount(log.actions, minlength=3)
    means = np.bincount(log.actions, log.rewards, 3) / counts
    np.testing.assert_allclose(policy.bounds(), means + 0.5 * np.sqrt(2 * np.log(60) / counts))
    np.testing.assert_allclose(policy.predict_rewards(log.contexts[:2]), [means, means])


def test_an_arm_never_tried_comes_first():
    policy = UCB1(arm_names=("a", "b", "c")).fit(row(0, 1.0))
    assert policy.probabilities(np.ones((1, 1))).tolist() == [[0.0, 0.5, 0.5]]
    assert policy.probabilities(np.ones((1, 1)), ("a",)).tolist() == [[1.0, 0.0, 0.0]]


def test_regret_keeps_the_papers_bound():
    rng = np.random.default_rng(0)
    means, policy, regret = np.array([0.2, 0.5, 0.8]), UCB1(arm_names=("a", "b", "c")), 0.0
    for _ in range(1000):
        action = policy.choose(np.ones(1), rng).action
        policy.update(row(action, float(rng.random() < means[action])))
        regret += 0.8 - means[action]
    gaps = np.array([0.6, 0.3])
    assert regret < (8 * np.log(1000) / gaps).sum() + (1 + np.pi**2 / 3) * gaps.sum()


def test_shards_merge_into_one_fit():
    data = example_data()
    first, second = UCB1().fit(data.subset(np.arange(20))), UCB1().fit(data.subset(np.arange(20, 60)))
    first.merge(second)
    np.testing.assert_allclose(first.bounds(), UCB1().fit(data).bounds())
    with pytest.raises(ValueError, match="same parameters"):
        first.merge(UCB1(ucb_width=2.0).fit(data))


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="ucb_width must be a finite number >= 0, got nan"):
        UCB1(ucb_width=float("nan"))
