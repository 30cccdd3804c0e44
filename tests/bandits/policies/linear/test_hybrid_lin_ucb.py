"""Hybrid LinUCB: the block formulas equal one large ridge regression and the paper's algorithm."""

import numpy as np
import pytest

from bandits import HybridLinUCB, load_policy
from bandits.testing import example_data, example_log
from tests.support.plain_ridge import plain_ridge, rows_of

FEATURES = {"arm_a": (1.0, 0.2), "arm_b": (0.5, -1.0), "arm_c": (0.0, 0.7)}


def joint_rows(contexts, features, arm, n_arms):
    """Return rows of the one large model: shared blocks f_j x, then one block an arm."""
    rows = np.column_stack([contexts.astype(float), np.ones(len(contexts))])
    own = np.zeros((len(rows), n_arms, rows.shape[1]))
    own[:, arm] = rows
    shared = features[arm][None, :, None] * rows[:, None, :]
    return np.concatenate([shared.reshape(len(rows), -1), own.reshape(len(rows), -1)], axis=1)


@pytest.mark.parametrize("features", [None, FEATURES])
def test_posterior_equals_one_large_ridge_regression(features):
    log = example_log()
    policy = HybridLinUCB(features, prior_precision=2.0, shared_precision=0.5).fit(log)
    table = np.array([(1.0,) if features is None else features[name] for name in log.arm_names])
    prior = np.array([2.0] * 5 + [0.01])
    precision = np.diag(np.concatenate([np.tile(prior * 0.25, table.shape[1]), np.tile(prior, 3)]))
    moment = np.zeros(len(precision))
    for arm in range(3):
        own = log.subset(log.actions == arm)
        rows = joint_rows(own.contexts, table, arm, 3)
        precision += rows.T @ rows
        moment += rows.T @ own.rewards
    means, leverages = policy.predict(log.contexts)
    for arm in range(3):
        rows = joint_rows(log.contexts, table, arm, 3)
        np.testing.assert_allclose(means[:, arm], rows @ np.linalg.solve(precision, moment), rtol=1e-8, atol=1e-9)
        expected = np.einsum("nd,de,ne->n", rows, np.linalg.inv(precision), rows)
        np.testing.assert_allclose(leverages[:, arm], expected, rtol=1e-7)


def test_scores_equal_the_papers_algorithm_step_by_step():
    log, f = example_log(), np.array([FEATURES[name] for name in example_log().arm_names])
    policy = HybridLinUCB(FEATURES, intercept_precision=None).fit(log)
    m, d = 2 * 5, 5
    shared, shared_moment = np.eye(m), np.zeros(m)
    own, cross, own_moment = [np.eye(d) for _ in f], [np.zeros((d, m)) for _ in f], [np.zeros(d) for _ in f]
    for context, a, reward in zip(log.contexts.astype(float), log.actions, log.rewards, strict=True):
        z = np.kron(f[a], context)  # lines 17 to 24 of Algorithm 2
        shared += cross[a].T @ np.linalg.solve(own[a], cross[a])
        shared_moment += cross[a].T @ np.linalg.solve(own[a], own_moment[a])
        own[a] += np.outer(context, context)
        cross[a] += np.outer(context, z)
        own_moment[a] += reward * context
        shared += np.outer(z, z) - cross[a].T @ np.linalg.solve(own[a], cross[a])
        shared_moment += reward * z - cross[a].T @ np.linalg.solve(own[a], own_moment[a])
    beta = np.linalg.solve(shared, shared_moment)
    means, leverages = policy.predict(log.contexts[:6])
    for row, context in enumerate(log.contexts[:6].astype(float)):
        for a in range(3):
            z, theta = np.kron(f[a], context), np.linalg.solve(own[a], own_moment[a] - cross[a] @ beta)
            w = z - cross[a].T @ np.linalg.solve(own[a], context)  # line 12, completed to a square
            spread = w @ np.linalg.solve(shared, w) + context @ np.linalg.solve(own[a], context)
            assert means[row, a] == pytest.approx(z @ beta + context @ theta)
            assert leverages[row, a] == pytest.approx(spread)


def test_an_arm_without_rows_is_predicted_from_similar_arms():
    data = example_data(n_rows=200)
    features = {"arm_c": (1.0, 0.0), "arm_b": (0.0, 1.0), "arm_a": (1.0, 0.0), "late": (1.0, 0.0)}
    policy = HybridLinUCB(features, shared_precision=0.01, prior_precision=1.0).fit(
        data.select_arms(("arm_c", "arm_b"))
    )
    policy.add_arm("late")
    means, _ = policy.predict(data.contexts)
    truth = data.rewards[:, data.arm_names.index("arm_c")]
    assert np.corrcoef(means[:, 2], truth)[0, 1] > 0.9


def test_updates_shards_files_and_new_arms(tmp_path):
    data = example_data()
    whole = HybridLinUCB(FEATURES).fit(data)
    first, second = (HybridLinUCB(FEATURES).fit(data.subset(part)) for part in (np.arange(30), np.arange(30, 60)))
    first.merge(second)
    np.testing.assert_allclose(first.predict(data.contexts)[0], whole.predict(data.contexts)[0], atol=1e-9)
    whole.add_arm("new", like="arm_b")
    loaded = load_policy(whole.save(tmp_path))
    assert loaded.arm_features["new"] == list(FEATURES["arm_b"])
    np.testing.assert_array_equal(loaded.predict(data.contexts)[0], whole.predict(data.contexts)[0])


def test_nothing_shared_is_lin_ucb():
    log = example_log()
    apart = HybridLinUCB(shared_precision=1e9).fit(log).predict(log.contexts)
    rows = rows_of(log.contexts, 0.01)
    for arm in range(3):
        own = log.subset(log.actions == arm)
        np.testing.assert_allclose(apart[0][:, arm], rows @ plain_ridge(own.contexts, own.rewards)[0], atol=1e-5)


def test_missing_and_uneven_features_are_refused():
    with pytest.raises(ValueError, match="must hold every arm, but not 'arm_c'"):
        HybridLinUCB({"arm_a": [1.0], "arm_b": [1.0]}).fit(example_data())
    with pytest.raises(ValueError, match="equally many"):
        HybridLinUCB({"a": [1.0], "b": [1.0, 2.0]})
    with pytest.raises(ValueError, match="must be finite, 'a' has"):
        HybridLinUCB({"a": [float("inf")]})
    with pytest.raises(ValueError, match="shared_precision"):
        HybridLinUCB(shared_precision=0.0)
    policy = HybridLinUCB(FEATURES).fit(example_data())
    with pytest.raises(ValueError, match="but not 'new'"):
        policy.add_arm("new")


def test_arm_features_that_name_no_arms_are_refused():
    with pytest.raises(TypeError, match=r"must map each arm's name to its numbers, got 1\.0"):
        HybridLinUCB(arm_features=1.0)
