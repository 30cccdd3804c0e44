"""BetaTS against closed forms, and what its posterior is."""

import numpy as np
import pytest
from scipy.special import betaln

from bandits import LoggedData
from bandits.policies import BetaTS
from bandits.policies.beta_ts import best_beta_probabilities

NAMES = ("a", "b", "c")


def of_two(a, b, c, d):
    """Return P(Beta(c, d) > Beta(a, b)) for whole c, the sum that integration by parts gives."""
    steps = np.arange(c)
    return np.exp(betaln(a + steps, b + d) - np.log(d + steps) - betaln(1 + steps, d) - betaln(a, b)).sum()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 1), (1, 1)),
        ((3, 8), (5, 2)),
        ((1.5, 1.7), (2, 30.5)),
        ((400, 600), (430, 570)),
        ((9e4, 1e4), (90_200, 1e4)),
    ],
)
def test_two_arms_have_the_probability_of_the_closed_form(first, second):
    successes, failures = np.array([first, second], float).T
    found = best_beta_probabilities(successes, failures)
    assert found[1] == pytest.approx(of_two(*first, int(second[0]), second[1]), abs=1e-8)
    assert found.sum() == pytest.approx(1.0)


def test_several_arms_agree_with_draws_and_equal_ones_share():
    successes, failures = np.array([2.0, 5.0, 2.0, 1.0, 80.0]), np.array([3.0, 9.0, 3.0, 400.0, 100.0])
    found = best_beta_probabilities(successes, failures)
    draws = np.random.default_rng(0).beta(successes, failures, (200_000, 5)).argmax(axis=1)
    np.testing.assert_allclose(found, np.bincount(draws, minlength=5) / 200_000, atol=0.004)
    assert found[0] == found[2]


def test_a_thousand_arms_cost_what_their_different_posteriors_cost():
    rng = np.random.default_rng(0)
    found = best_beta_probabilities(rng.integers(1, 4, 1_000) + 0.0, rng.integers(1, 4, 1_000) + 0.0)
    assert found.sum() == pytest.approx(1.0)
    assert len(np.unique(found)) == 9


def test_an_arm_far_behind_and_one_that_always_pays_are_no_exceptions():
    found = best_beta_probabilities(np.array([1e9, 1.0, 1e9]), np.array([0.1, 1e9, 1e9]))
    np.testing.assert_allclose(found, [1.0, 0.0, 0.0], atol=1e-12)


def test_rewards_between_0_and_1_count_in_parts_and_others_are_refused():
    log = LoggedData(np.zeros((3, 1)), [0, 0, 1], [1.0, 0.25, 0.0], np.full(3, 0.5), NAMES)
    policy = BetaTS(2.0).fit(log)
    np.testing.assert_allclose(policy.posterior(), [[3.25, 2.0, 2.0], [1.75, 2.0, 1.0]])
    np.testing.assert_allclose(policy.predict_rewards(np.zeros((1, 1))), [[0.65, 0.5, 2 / 3]])
    with pytest.raises(ValueError, match=r"BetaTS must learn from rewards in \[0, 1\], row 0 has 1.5: change"):
        policy.update(np.zeros((1, 1)), [0], [1.5], [0.5], NAMES)
