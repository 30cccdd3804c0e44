"""DiagonalLinUCB: ridge regression where features do not go together, and what its state takes."""

import numpy as np

from bandits import LoggedData
from bandits.policies import DiagonalLinUCB, merge
from bandits.testing import example_log
from tests.support.plain_ridge import plain_ridge, rows_of


def test_it_is_ridge_regression_for_features_of_which_each_row_has_one():
    rng = np.random.default_rng(0)
    contexts, actions = np.eye(4)[rng.integers(4, size=60)], rng.integers(2, size=60)
    contexts[:, 3] = 0.0
    log = LoggedData(contexts, actions, 5.0 + rng.normal(size=60), np.full(60, 0.5), ("a", "b"))
    policy = DiagonalLinUCB(prior_precision=2.0).fit(log)
    alone = LoggedData(log.contexts, actions, log.rewards - log.rewards.mean(), log.propensities, log.arm_names)
    for arm in range(2):
        own = alone.subset(actions == arm)
        without_ones, covariance = plain_ridge(own.contexts, own.rewards, prior=2.0, intercept=None)
        found = policy.predict_rewards(log.contexts)[:, arm] - policy.predict_rewards(np.zeros((1, 4)))[:, arm]
        np.testing.assert_allclose(found, log.contexts @ without_ones, rtol=1e-6)
        squares = policy.learned.per_arm["squares"][arm, :-1]
        np.testing.assert_allclose(np.diag(covariance), 1.0 / (2.0 + squares))


def test_scores_are_those_of_the_formula():
    log = example_log()
    policy = DiagonalLinUCB(0.7, prior_precision=3.0).fit(log)
    rows, scores = rows_of(log.contexts, 1.0), np.empty((len(log), 3))
    for arm in range(3):
        own = log.actions == arm
        precisions = 3.0 + (rows[own] ** 2).sum(axis=0)
        coefficients = rows[own].T @ (log.rewards[own] - log.rewards.mean()) / precisions
        scores[:, arm] = rows @ coefficients + 0.7 * np.sqrt(rows**2 @ (1 / precisions))
    np.testing.assert_array_equal(policy.probabilities(log.contexts).argmax(axis=1), scores.argmax(axis=1))


def test_memory_grows_with_the_features_and_shards_merge():
    policy = DiagonalLinUCB(arm_names=("a", "b"))
    policy.start(("a", "b"), 5_000)
    assert sum(array.nbytes for array in policy.learned.tensors().values()) < 300_000
    log, half = example_log(), np.arange(60) < 30
    whole = DiagonalLinUCB().fit(log)
    parts = [DiagonalLinUCB(arm_names=log.arm_names).fit(log.subset(rows)) for rows in (half, ~half)]
    found = merge(parts).probabilities(log.contexts)
    np.testing.assert_allclose(found, whole.probabilities(log.contexts))
