"""Softmax over predicted rewards."""

import numpy as np
import pytest
from scipy import special

from bandits import BestFixedArm, LinUCB, Reinforce, Softmax, Uniform
from bandits.testing import example_data, example_log


def test_probabilities_are_the_softmax_of_predicted_rewards():
    data = example_data()
    policy = Softmax(LinUCB(), temperature=0.5).fit(data)
    expected = special.softmax(LinUCB().fit(data).predict(data.contexts)[0] / 0.5, axis=1)
    np.testing.assert_allclose(policy.probabilities(data.contexts), expected, rtol=1e-9)


def test_an_arm_of_which_nothing_is_known_waits_until_it_is_alone():
    log = example_log().select_arms(("arm_b",))
    policy = Softmax(BestFixedArm(arm_names=("arm_a", "arm_b", "arm_c"))).fit(log)
    assert policy.probabilities(log.contexts[:1]).tolist() == [[0.0, 1.0, 0.0]]
    assert policy.probabilities(log.contexts[:1], ("arm_a", "arm_c")).tolist() == [[0.5, 0.0, 0.5]]


def test_policies_without_predictions_and_bad_temperatures_are_refused():
    for policy in (Uniform(), Reinforce()):
        with pytest.raises(TypeError, match="must predict rewards"):
            Softmax(policy)
    with pytest.raises(ValueError, match=r"temperature must be a finite number in \[1e-150, 1e\+150\], got 0"):
        Softmax(LinUCB(), temperature=0)
