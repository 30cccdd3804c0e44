"""Hedge against its formula, and its regret against the bound, on the hardest sequences that are simple to write."""

import numpy as np
import pytest

from bandits import FullInformationData, LoggedData
from bandits.policies import Hedge

NAMES = ("a", "b", "c")


def full(rewards):
    return FullInformationData(np.zeros((len(rewards), 1)), np.asarray(rewards, float), NAMES[: len(rewards[0])])


def test_weights_are_those_of_the_formula():
    rewards = [[0.5, 1.0, 0.0], [0.0, 1.0, 0.5]]
    policy = Hedge().fit(full(rewards))
    weights = np.exp(np.sqrt(8 * np.log(3) / 2) * np.sum(rewards, axis=0))
    np.testing.assert_allclose(policy.probabilities(np.zeros((1, 1)))[0], weights / weights.sum())
    wide = Hedge(reward_range=100.0).fit(full(100 * np.array(rewards) - 50))
    np.testing.assert_allclose(wide.probabilities(np.zeros((1, 1))), policy.probabilities(np.zeros((1, 1))))


@pytest.mark.parametrize("kind", ["alternating", "one good arm", "leader falls"])
def test_regret_keeps_the_bound_on_every_sequence(kind):
    n, rng = 400, np.random.default_rng(0)
    rewards = {
        "alternating": np.stack([np.arange(n) % 2, 1 - np.arange(n) % 2, np.full(n, 0.5)], axis=1),
        "one good arm": rng.random((n, 3)) * [0.6, 0.8, 1.0],
        "leader falls": np.where(np.arange(n)[:, None] < n // 2, [1.0, 0.0, 0.4], [0.0, 1.0, 0.4]),
    }[kind]
    policy, earned = Hedge(arm_names=NAMES), 0.0
    for row in rewards:
        earned += policy.probabilities(np.zeros((1, 1)))[0] @ row
        policy.update(full([row]))
    assert rewards.sum(axis=0).max() - earned <= np.sqrt(2 * n * np.log(3)) + np.sqrt(np.log(3) / 8)


def test_a_log_is_weighed_by_its_propensities():
    rng, means = np.random.default_rng(1), np.array([0.2, 0.6])
    propensities = np.array([0.9, 0.1])
    actions = rng.choice(2, 4_000, p=propensities)
    log = LoggedData(np.zeros((4_000, 1)), actions, means[actions], propensities[actions], NAMES[:2])
    policy = Hedge().fit(log)
    np.testing.assert_allclose(policy.mean_rewards(), means)
    assert policy.probabilities(np.zeros((1, 1)))[0, 1] > 0.99


def test_an_arm_without_data_is_tried():
    policy = Hedge(arm_names=NAMES).fit(full([[0.9, 0.1]]).with_arms(NAMES))
    probabilities = policy.probabilities(np.zeros((1, 1)))[0]
    assert probabilities[2] == probabilities[0] > probabilities[1]


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError, match="reward_range"):
        Hedge(reward_range=0.0)
