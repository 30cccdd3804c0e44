"""The error of predicted differences between arms, against leaving one row out and against the truth."""

import numpy as np
import pytest

from bandits import FullInformationData, LinUCB, LoggedData, Uniform
from bandits.policies.linear.difference_errors import (
    difference_errors,
    largest_within_one_error,
    shows_differences,
)
from bandits.policies.linear.prior_precision import choose_prior_precision, leave_one_out_errors
from bandits.testing import example_log
from tests.support.plain_ridge import plain_ridge, rows_of

PRECISIONS = (0.5, 3.0, 40.0)


def _by_hand(log, precisions, intercept_precision=0.01):
    """Leave each row out by fitting again."""
    n, k = len(log), len(log.arm_names)
    predicted = np.empty((n, k, len(precisions)))
    for row in range(n):
        rest = log.subset(np.delete(np.arange(n), row))
        for i, precision in enumerate(precisions):
            for arm in range(k):
                own = rest.subset(rest.actions == arm)
                fitted, _ = plain_ridge(own.contexts, own.rewards, prior=precision, intercept=intercept_precision)
                predicted[row, arm, i] = rows_of(log.contexts[[row]], intercept_precision)[0] @ fitted
    rows = np.arange(n)
    own = predicted[rows, log.actions]
    model = predicted[:, :, np.argmin(((own - log.rewards[:, None]) ** 2).mean(axis=0))]
    scores = model.copy()
    weights = np.minimum(1 / log.propensities, np.sqrt(n))
    scores[rows, log.actions] += weights * (log.rewards - model[rows, log.actions])
    off = scores[:, :, None] - predicted
    off -= off.mean(axis=1, keepdims=True)
    return (off**2).sum(axis=1)


@pytest.mark.parametrize("intercept_precision", [0.01, None])
def test_errors_are_those_of_leaving_one_out(intercept_precision):
    log = example_log()
    log = LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names).subset(np.arange(60))
    expected = _by_hand(log, PRECISIONS, intercept_precision)
    np.testing.assert_allclose(difference_errors(log, PRECISIONS, intercept_precision), expected, rtol=1e-6)


def _hard_and_easy(seed, n_rows=1_500, n_features=60):
    """The context tells how hard a query is, which all arms share, and nothing of how they differ."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n_rows, n_features)) / np.sqrt(n_features)
    level = contexts @ rng.normal(size=n_features)
    rewards = level[:, None] + np.array([0.1, 0.0]) + 0.3 * rng.normal(size=(n_rows, 2))
    data = FullInformationData(contexts, rewards, ("a", "b"))
    return data, data.log_with(Uniform(), rng)


def test_what_all_arms_share_weakens_no_shrinkage():
    for seed in range(5):
        data, log = _hard_and_easy(seed)
        by_reward = np.argmin(leave_one_out_errors(log, (0.1, 1.0, 10.0, 100.0, 1000.0)))
        assert by_reward <= 1  # it pays to predict the level
        chosen = choose_prior_precision(log)
        assert chosen >= 10.0
        found = LinUCB(0.0, prior_precision=chosen).fit(log)
        unshrunk = LinUCB(0.0, prior_precision=(0.1, 1.0)[by_reward]).fit(log)
        assert data.value(found) >= data.value(unshrunk)


def test_differences_that_the_context_tells_are_kept():
    rng = np.random.default_rng(3)
    contexts = rng.normal(size=(600, 8)) / np.sqrt(8)
    rewards = 3 * contexts @ rng.normal(size=(8, 3)) + 0.1 * rng.normal(size=(600, 3))
    log = FullInformationData(contexts, rewards, ("a", "b", "c")).log_with(Uniform(), rng)
    assert choose_prior_precision(log) <= 0.3


def test_arms_that_could_not_be_taken_do_not_count():
    log = example_log()
    available = np.ones((len(log), len(log.arm_names)), bool)
    columns = (log.contexts, log.actions, log.rewards, log.propensities, log.arm_names)
    np.testing.assert_allclose(
        difference_errors(LoggedData(*columns, available=available), PRECISIONS, 0.01),
        difference_errors(LoggedData(*columns), PRECISIONS, 0.01),
    )
    only = np.zeros_like(available)
    only[np.arange(len(log)), log.actions] = True  # nothing to choose on any row
    np.testing.assert_allclose(difference_errors(LoggedData(*columns, available=only), PRECISIONS, 0.01), 0.0)


def test_the_largest_value_within_one_standard_error_is_taken():
    errors = np.array([[1.0, 0.0, 0.4, 9.0], [1.0, 0.0, -0.2, 9.0]])  # the third: 0.1 worse, with an error of 0.21
    assert largest_within_one_error(errors, (1.0, 2.0, 3.0, 4.0)) == 3.0
    assert largest_within_one_error(errors[:, [0, 1, 3]], (1.0, 2.0, 4.0)) == 2.0
    assert largest_within_one_error(np.ones((5, 3)), (1.0, 30.0, 3.0)) == 30.0


def test_data_without_propensities_or_with_one_arm_show_no_differences():
    log = example_log()
    assert shows_differences(log.feedback())
    one = log.subset(log.actions == 0)
    assert not shows_differences(one.feedback())
    assert not shows_differences(_hard_and_easy(0)[0].feedback())
