"""Estimated propensities: near the truth where the contexts hold it, marked, cross-fitted."""

import numpy as np
import pytest
from scipy.special import softmax

from bandits import FullInformationData, LinTS, LoggedData
from bandits.data import estimate_propensities


@pytest.fixture(scope="module")
def truth():
    """A log whose actions follow a softmax of the contexts."""
    rng = np.random.default_rng(0)
    contexts = rng.normal(size=(4000, 3)).astype(np.float32)
    probabilities = softmax(contexts @ rng.normal(size=(3, 3)), axis=1)
    actions = np.array([rng.choice(3, p=row / row.sum()) for row in probabilities])
    rows = np.arange(4000)
    return LoggedData(
        contexts,
        actions,
        rng.normal(size=4000),
        probabilities[rows, actions],
        ("a", "b", "c"),
        action_probabilities=probabilities,
    )


def test_estimates_are_close_and_marked(truth):
    blind = LoggedData(truth.contexts, truth.actions, truth.rewards, np.ones(4000), truth.arm_names)
    found = estimate_propensities(blind)
    assert found.propensities_estimated
    np.testing.assert_allclose(found.action_probabilities, truth.action_probabilities, atol=0.1)
    assert np.abs(found.action_probabilities - truth.action_probabilities).mean() < 0.015


def test_estimates_do_not_depend_on_the_stated_propensities_and_follow_the_seed(truth):
    blind = LoggedData(truth.contexts, truth.actions, truth.rewards, np.ones(4000), truth.arm_names)
    first, second = estimate_propensities(blind), estimate_propensities(truth)
    np.testing.assert_array_equal(first.propensities, second.propensities)
    assert not np.array_equal(estimate_propensities(blind, seed=1).propensities, first.propensities)


def test_an_arm_that_was_not_available_or_never_taken_has_probability_zero(truth):
    available = np.ones((4000, 3), bool)
    available[:2000, 0] = False
    kept = available[np.arange(4000), truth.actions]
    log = LoggedData(
        truth.contexts[kept], truth.actions[kept], truth.rewards[kept], np.ones(kept.sum()), truth.arm_names,
        available=available[kept],
    ).with_arms(("a", "b", "c", "new"))  # fmt: skip
    found = estimate_propensities(log)
    assert (found.action_probabilities[~log.available] == 0).all()


def test_what_cannot_be_estimated_is_refused(truth):
    rows = np.concatenate([np.flatnonzero(truth.actions == 1)[:40], np.flatnonzero(truth.actions == 2)[:1]])
    with pytest.raises(ValueError, match=r"arm 'c' \(row 40\) was taken in one fold only"):
        estimate_propensities(truth.subset(rows))
    with pytest.raises(ValueError, match="5 folds"):
        estimate_propensities(truth.subset([0, 1, 2]))
    with pytest.raises(ValueError, match="prior_precision"):
        estimate_propensities(truth, prior_precision=0)


def test_policies_learn_from_an_estimated_log(truth):
    policy = LinTS().fit(estimate_propensities(truth))
    data = FullInformationData(truth.contexts, np.zeros((4000, 3)), truth.arm_names)
    assert data.value(policy) == 0
