"""BootstrappedTS: shares of replicates, counted by hand, and which rows each replicate takes."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from bandits import LoggedData
from bandits.policies import BootstrappedTS
from bandits.testing import example_log

LOG = example_log()


def test_probabilities_are_shares_of_replicates_fitted_by_hand():
    policy = BootstrappedTS(Ridge(), n_replicates=6, min_rows=2, seed=3).fit(LOG)
    counts = np.random.default_rng(3).poisson(1.0, (len(LOG), 6))
    shares = np.zeros((len(LOG), 3))
    for replicate in counts.T:
        scores = []
        for arm in range(3):
            rows = np.repeat(np.arange(len(LOG)), replicate * (LOG.actions == arm))
            scores.append(Ridge().fit(LOG.contexts[rows].astype(float), LOG.rewards[rows]).predict(LOG.contexts))
        shares[np.arange(len(LOG)), np.argmax(scores, axis=0)] += 1 / 6
    np.testing.assert_allclose(policy.probabilities(LOG.contexts), shares)


def test_more_rows_leave_the_replicates_of_the_others_as_they_were():
    policy = BootstrappedTS(Ridge(), n_replicates=3).fit(LOG)
    policy.probabilities(LOG.contexts[:1])
    fitted = dict(policy.learned.derived)
    policy.update(LOG.contexts[:1], [2], [0.5], [1 / 3], LOG.arm_names)
    policy.probabilities(LOG.contexts[:1])
    kept = [key for key in policy.learned.derived if key in fitted and policy.learned.derived[key] is fitted[key]]
    assert len(kept) == 2 * 3
    first = np.random.default_rng(0).poisson(1.0, (len(LOG), 3))
    np.testing.assert_array_equal(np.random.default_rng(0).poisson(1.0, (len(LOG) + 1, 3))[:-1], first)


def test_another_number_of_replicates_takes_no_regressor_of_this_one():
    policy, other = BootstrappedTS(Ridge(), n_replicates=2).fit(LOG), BootstrappedTS(Ridge(), n_replicates=3)
    policy.predict_rewards(LOG.contexts)
    other.state = policy.state
    fresh = BootstrappedTS(Ridge(), n_replicates=3).fit(LOG)
    np.testing.assert_array_equal(other.predict_rewards(LOG.contexts), fresh.predict_rewards(LOG.contexts))


def test_an_arm_with_few_rows_comes_first_and_predicts_its_mean():
    log = LoggedData(np.zeros((7, 1)), [0] * 6 + [1], [1.0] * 6 + [0.25], np.full(7, 0.5), ("a", "b", "c"))
    policy = BootstrappedTS(min_rows=3, n_replicates=2).fit(log)
    np.testing.assert_array_equal(policy.probabilities(np.zeros((1, 1))), [[0.0, 0.5, 0.5]])
    np.testing.assert_array_equal(policy.predict_rewards(np.zeros((1, 1))), [[1.0, 0.25, -np.inf]])


def test_what_is_no_regressor_is_refused():
    with pytest.raises(TypeError, match=r"must be a scikit-learn regressor"):
        BootstrappedTS(3)
