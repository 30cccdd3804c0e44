"""Exp3 against its formula, its estimate against enumeration, and its regret against the bound."""

import numpy as np
import pytest

from bandits import FullInformationData, LoggedData
from bandits.policies import Exp3

NAMES = ("a", "b", "c")
CONTEXT = np.zeros((1, 1))


def test_probabilities_are_those_of_the_formula():
    log = LoggedData(np.zeros((3, 1)), [0, 1, 0], [0.5, 1.0, 0.0], [0.5, 0.25, 0.25], NAMES)
    losses = np.array([0.5 / 0.5 + 1.0 / 0.25, 0.0, 0.0])
    weights = np.exp(-2.0 * np.sqrt(np.log(3) / (3 * 3)) * losses)
    np.testing.assert_allclose(Exp3(2.0).fit(log).probabilities(CONTEXT)[0], weights / weights.sum())


def test_estimated_losses_are_unbiased_under_its_own_choices():
    rewards, policy = np.array([0.2, 0.9, 0.5]), Exp3(arm_names=NAMES)
    policy.update(CONTEXT, [0], [0.3], [1 / 3], NAMES)
    drawn = policy.probabilities(CONTEXT)[0]
    before, expected = policy.learned.per_arm["losses"], np.zeros(3)
    for arm, propensity in enumerate(drawn):
        after = Exp3(arm_names=NAMES)
        after.state = policy.state
        after.update(CONTEXT, [arm], [rewards[arm]], [propensity], NAMES)
        expected += propensity * (after.learned.per_arm["losses"] - before)
    np.testing.assert_allclose(expected, 1.0 - rewards)


def test_regret_keeps_the_bound_where_the_leader_falls():
    n, regrets = 300, []
    rewards = np.where(np.arange(n)[:, None] < n // 2, [1.0, 0.0, 0.4], [0.0, 1.0, 0.4])
    for seed in range(3):
        policy, rng, earned = Exp3(arm_names=NAMES), np.random.default_rng(seed), 0.0
        for row in rewards:
            decision = policy.choose(CONTEXT[0], rng)
            earned += row[decision.action]
            policy.update(CONTEXT, [decision.action], [row[decision.action]], [decision.propensity], NAMES)
        regrets.append(rewards.sum(axis=0).max() - earned)
    assert np.mean(regrets) <= 2 * np.sqrt(n * 3 * np.log(3))


def test_full_information_counts_every_loss_as_it_is():
    policy = Exp3().fit(FullInformationData(np.zeros((2, 1)), [[0.0, 1.0], [0.5, 0.5]], NAMES[:2]))
    np.testing.assert_allclose(policy.learned.per_arm["losses"], [1.5, 0.5])


def test_rows_without_propensities_are_refused():
    with pytest.raises(ValueError, match="Exp3 learns from rows that show one arm each by their propensities"):
        Exp3().fit(np.zeros((2, 1)), [0, 1], [0.0, 1.0])
