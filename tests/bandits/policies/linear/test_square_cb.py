"""SquareCB: inverse-gap weighting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import LinUCB, SquareCB
from bandits.policies.linear.square_cb import inverse_gap_weights
from bandits.testing import example_log


def test_weights_by_hand():
    found = inverse_gap_weights(np.array([[1.0, 0.5, 0.0]]), 4.0, None)
    np.testing.assert_allclose(found, [[1 - 1 / 5 - 1 / 7, 1 / 5, 1 / 7]])
    masked = inverse_gap_weights(np.array([[1.0, 0.5, 0.0]]), 4.0, np.array([[False, True, True]]))
    np.testing.assert_allclose(masked, [[0.0, 0.75, 0.25]])
    np.testing.assert_allclose(inverse_gap_weights(np.array([[1.0, 1.0, 0.0]]), 1.0, None), [[0.375, 0.375, 0.25]])


@settings(max_examples=100, deadline=None)
@given(
    rewards=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6), sharpness=st.floats(0, 1e6), seed=st.integers(0, 99)
)
def test_weights_are_a_distribution_that_follows_the_order_of_rewards(rewards, sharpness, seed):
    mask = np.random.default_rng(seed).random(len(rewards)) < 0.7
    mask[seed % len(rewards)] = True
    probabilities = inverse_gap_weights(np.array([rewards]), sharpness, mask[None])[0]
    assert probabilities.sum() == pytest.approx(1.0)
    assert (probabilities[mask] > 0).all()
    assert (probabilities[~mask] == 0).all()
    order = np.argsort(np.array(rewards)[mask])
    assert (np.diff(probabilities[mask][order]) >= -1e-12).all()


def test_sharpness_grows_with_the_rows_learned():
    log = example_log()
    policy, ridge = (
        SquareCB(sharpness=2.0, growth=0.5).fit(log),
        LinUCB(ucb_width=0.0, intercept_precision=1.0).fit(log),
    )
    expected = inverse_gap_weights(ridge.predict(log.contexts)[0], 2.0 * np.sqrt(60), None)
    np.testing.assert_allclose(policy.probabilities(log.contexts), expected, rtol=1e-9)


@pytest.mark.parametrize(("params", "message"), [({"sharpness": 0.0}, "sharpness"), ({"growth": 1.0}, "growth must")])
def test_bad_settings_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        SquareCB(**params)
