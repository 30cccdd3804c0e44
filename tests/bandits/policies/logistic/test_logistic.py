"""The logistic policies: the mode against its own gradient, the curvature against differences, choices by hand."""

import numpy as np
import pytest
from scipy.special import expit, ndtr

from bandits import LoggedData
from bandits.policies import Discounted, LogisticTS, LogisticUCB
from bandits.policies.logistic.laplace import Laplace
from bandits.testing import example_data, example_log

PRIOR = np.array([0.5, 2.0, 1.0])


def problem(n=40, seed=0):
    rng = np.random.default_rng(seed)
    rows = np.column_stack([rng.normal(size=(n, 2)), np.ones(n)])
    rewards = (rng.random(n) < expit(rows @ [2.0, -1.0, 0.5])).astype(float)
    return rows, rewards, rng.uniform(0.5, 2.0, n)


def gradient(coefficients, rows, rewards, weights):
    return rows.T @ (weights * (rewards - expit(rows @ coefficients))) - PRIOR * coefficients


def test_the_mode_has_no_gradient_and_the_root_is_that_of_the_curvature():
    rows, rewards, weights = problem()
    posterior = Laplace.of(rows, rewards, weights, PRIOR)
    np.testing.assert_allclose(gradient(posterior.coefficients, rows, rewards, weights), 0.0, atol=1e-8)
    steps = 1e-5 * np.eye(3)
    curvature = [
        (
            gradient(posterior.coefficients - step, rows, rewards, weights)
            - gradient(posterior.coefficients + step, rows, rewards, weights)
        )
        / 2e-5
        for step in steps
    ]
    np.testing.assert_allclose(posterior.root @ posterior.root.T @ np.array(curvature), np.eye(3), atol=1e-6)


@pytest.mark.parametrize("size", [1.0, 1e4, 1e8])
def test_rows_that_a_line_separates_have_a_finite_mode_too(size):
    rows = size * np.array([[1.0, 0.0, 1.0], [2.0, 1.0, 1.0], [-1.0, 0.5, 1.0], [-3.0, 0.0, 1.0]])
    posterior = Laplace.of(rows, np.array([1.0, 1.0, 0.0, 0.0]), np.ones(4), np.full(3, 1e-6))
    assert np.isfinite(posterior.coefficients).all()
    assert ((rows @ posterior.coefficients > 0) == [True, True, False, False]).all()


def test_without_rows_the_prior_is_the_posterior():
    posterior = Laplace.of(np.zeros((0, 3)), np.zeros(0), np.zeros(0), PRIOR)
    assert not posterior.coefficients.any()
    np.testing.assert_allclose(posterior.root @ posterior.root.T, np.diag(1 / PRIOR))


def test_choices_follow_from_means_and_deviations():
    log = example_log(reward_kind="binary")
    contexts = log.contexts[:6]
    rows = np.column_stack([contexts, np.ones(6)])
    own = [log.actions == arm for arm in range(2)]
    two = log.subset(own[0] | own[1]).with_arms(log.arm_names)
    prior = np.array([1.0] * 5 + [0.25])
    posteriors = [
        Laplace.of(np.column_stack([log.contexts[o], np.ones(o.sum())]), log.rewards[o], np.ones(o.sum()), prior)
        for o in own
    ]
    means = np.stack([rows @ p.coefficients for p in posteriors], axis=1)
    deviations = np.stack([np.linalg.norm(rows @ p.root, axis=1) for p in posteriors], axis=1)
    mask = np.broadcast_to([True, True, False], (6, 3))
    sampled = LogisticTS(0.5).fit(two).probabilities(contexts, mask)
    exact = ndtr((means[:, 0] - means[:, 1]) / (0.5 * np.linalg.norm(deviations, axis=1)))
    np.testing.assert_allclose(sampled[:, 0], exact, atol=1e-5)
    bounded = LogisticUCB(1.5).fit(two).probabilities(contexts, mask)
    np.testing.assert_array_equal(bounded[:, :2].argmax(axis=1), (means + 1.5 * deviations).argmax(axis=1))
    predicted = LogisticUCB().fit(two).predict_rewards(contexts)
    np.testing.assert_allclose(predicted[:, :2], expit(means))


def test_only_the_arms_that_were_taught_are_fitted_again(monkeypatch):
    fits = []
    fit = Laplace.of
    monkeypatch.setattr(Laplace, "of", lambda rows, *rest: fits.append(len(rows)) or fit(rows, *rest))
    policy = LogisticUCB().fit(example_log(reward_kind="binary"))
    policy.probabilities(np.zeros((1, 5)))
    assert len(fits) == 3
    policy.update(np.zeros((1, 5)), [1], [1.0], [0.5], policy.arm_names)
    policy.probabilities(np.zeros((1, 5)))
    assert len(fits) == 4


def test_other_rewards_and_what_cannot_forget_are_refused():
    with pytest.raises(ValueError, match="LogisticTS must learn from rewards 0 or 1, row 0 has"):
        LogisticTS().fit(LoggedData(np.zeros((1, 2)), [0], [0.5], [0.5], ("a", "b")))
    with pytest.raises(ValueError, match="LogisticUCB must learn from rewards 0 or 1, row 0 has"):
        LogisticUCB().fit(example_data())
    with pytest.raises(TypeError, match="AdditivePolicy"):
        Discounted(LogisticTS())


def test_contexts_beyond_float64_are_refused():
    contexts = np.full((2, 1), 3e38, np.float32)
    policy = LogisticUCB().fit(LoggedData(contexts, [0, 0], [1.0, 0.0], [0.5, 0.5], ("a", "b"), weights=[1e300, 1e300]))
    with pytest.raises(ValueError, match="too large for a logistic regression: scale them"):
        policy.probabilities(contexts)
