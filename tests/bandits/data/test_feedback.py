"""Columns of feedback say the same in each of their forms, whatever the kind of data."""

import numpy as np
import pytest

from bandits import FullInformationData, LoggedData
from bandits.testing import example_data, example_log


def ragged():
    full = example_data(n_arms=4)
    observed = np.random.default_rng(0).random(full.rewards.shape) < 0.6
    observed[:, 1] = True
    return FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)


def weighted():
    log = example_log()
    weights = np.linspace(0.5, 2.0, len(log))
    return LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, weights=weights)


DATA = {"full": example_data, "ragged": ragged, "log": example_log, "weighted": weighted}


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_entries_are_the_rewards_of_the_data(make):
    data = make()
    feedback = data.feedback()
    if isinstance(data, LoggedData):
        np.testing.assert_array_equal(feedback.rows, np.arange(len(data)))
        np.testing.assert_array_equal(feedback.actions, data.actions)
        np.testing.assert_array_equal(feedback.rewards, data.rewards)
        np.testing.assert_array_equal(feedback.propensities, data.propensities)
        return
    np.testing.assert_array_equal(feedback.rewards, data.rewards[feedback.rows, feedback.actions])
    assert len(feedback.rewards) == data.observed_mask.sum()
    assert feedback.propensities is None


@pytest.mark.parametrize("max_rows", [1, 7, 1000])
@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_blocks_sums_and_tables_hold_the_entries(make, max_rows):
    data = make()
    feedback = data.feedback()
    weights = np.ones(len(feedback.rewards)) if feedback.weights is None else feedback.weights
    expected = np.zeros((data.n_arms, len(data))), np.zeros((data.n_arms, len(data)))
    expected[0][feedback.actions, feedback.rows] = feedback.rewards
    expected[1][feedback.actions, feedback.rows] = weights
    np.testing.assert_array_equal(feedback.by_arm(), expected)
    found = np.zeros_like(expected[0]), np.zeros_like(expected[0])
    for block in feedback.blocks(max_rows):
        assert len(block.rewards) <= max_rows
        for column, arm in enumerate(block.arms):
            found[0][arm, block.rows] = block.rewards[:, column]
            found[1][arm, block.rows] = 1.0 if block.weights is None else block.weights
    np.testing.assert_array_equal(found, expected)
    rewards, totals = feedback.arm_sums()
    np.testing.assert_allclose(rewards, (expected[0] * expected[1]).sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(totals, expected[1].sum(axis=1))


@pytest.mark.parametrize("make", DATA.values(), ids=DATA)
def test_a_single_decision_is_told_as_plain_numbers(make):
    data, row = make(), make().subset([3])
    assert data.feedback().single() is None
    single, feedback = row.feedback().single(), row.feedback()
    if isinstance(row, LoggedData):
        weight = 1.0 if feedback.weights is None else feedback.weights[0]
        assert single == (feedback.actions[0], feedback.rewards[0], weight)
    else:
        assert single is None
