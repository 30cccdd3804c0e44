"""Thompson sampling refuses what its float64 cannot hold, and answers everything else with probabilities."""

import numpy as np
import pytest

from bandits import LinTS, LoggedData

CONTEXTS = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)


def log(scale):
    rewards = scale * np.linspace(1.0, 1.5, 20)
    return LoggedData(CONTEXTS, np.arange(20) % 2, rewards, np.full(20, 0.5), ("a", "b"))


def test_large_rewards_are_chosen_among_as_small_ones_are():
    small, large = LinTS().fit(log(1e9)), LinTS().fit(log(1e150))
    np.testing.assert_allclose(large.probabilities(CONTEXTS), small.probabilities(CONTEXTS), atol=1e-6)
    by_rows = LinTS(arm_names=("a", "b"))
    for row in range(20):
        by_rows.update(log(1e150).subset([row]))
    np.testing.assert_allclose(by_rows.probabilities(CONTEXTS), large.probabilities(CONTEXTS), atol=1e-6)


@pytest.mark.parametrize("scale", [1e155, 1e160, 1e300])
def test_rewards_whose_squares_overflow_are_refused(scale):
    whole, by_rows = LinTS().fit(log(scale)), LinTS(arm_names=("a", "b"))
    for row in range(20):
        by_rows.update(log(scale).subset([row]))
    for policy in (whole, by_rows):
        with pytest.raises(ValueError, match="LinTS must learn rewards whose squares sum to a finite number"):
            policy.probabilities(CONTEXTS)


@pytest.mark.parametrize("name", ["noise_scale", "posterior_scale"])
def test_scales_whose_squares_overflow_are_refused_and_smaller_ones_give_probabilities(name):
    with pytest.raises(ValueError, match=rf"{name} must be a finite number in \[1e-150, 1e\+150\], got 1e\+300"):
        LinTS(**{name: 1e300})
    for value in (1e150, 1e-150):
        found = LinTS(**{name: value}).fit(log(1.0)).probabilities(CONTEXTS)
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
