"""Thompson sampling draws a share of its decisions, refuses what its float64 cannot hold, and answers the rest."""

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


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_decisions_that_are_not_drawn_take_the_arm_of_the_highest_mean(share):
    mask = np.ones((20, 3), np.bool_)
    mask[::2, 1] = False
    data = log(1.0)
    data = LoggedData(CONTEXTS, np.arange(20) % 3, data.rewards, data.propensities, ("a", "b", "c"))
    drawn = LinTS(sampled_share=1.0).fit(data).probabilities(CONTEXTS, mask)
    best = np.where(mask, LinTS().fit(data).predict_rewards(CONTEXTS), -np.inf).argmax(axis=1)
    found = LinTS(sampled_share=share).fit(data).probabilities(CONTEXTS, mask)
    np.testing.assert_allclose(found, share * drawn + (1 - share) * np.eye(3)[best], atol=1e-12)
    assert found[mask].min() > 0


@pytest.mark.parametrize("share", [0, 1.2, float("nan")])
def test_a_share_of_drawn_decisions_beyond_0_and_1_is_refused(share):
    with pytest.raises(ValueError, match="sampled_share must be"):
        LinTS(sampled_share=share)


@pytest.mark.parametrize("scale", [1e155, 1e160, 1e300])
def test_rewards_whose_squares_overflow_are_refused(scale):
    whole, by_rows = LinTS().fit(log(scale)), LinTS(arm_names=("a", "b"))
    for row in range(20):
        by_rows.update(log(scale).subset([row]))
    for policy in (whole, by_rows):
        with pytest.raises(ValueError, match="LinTS must learn rewards whose squares sum to a finite number"):
            policy.probabilities(CONTEXTS)


@pytest.mark.parametrize("name", ["noise", "posterior_scale"])
def test_scales_whose_squares_overflow_are_refused_and_smaller_ones_give_probabilities(name):
    with pytest.raises(ValueError, match=rf"{name} must be a finite number in \[1e-150, 1e\+150\], got 1e\+300"):
        LinTS(**{name: 1e300})
    for value in (1e150, 1e-150):
        found = LinTS(**{name: value}).fit(log(1.0)).probabilities(CONTEXTS)
        np.testing.assert_allclose(found.sum(axis=1), 1.0)
