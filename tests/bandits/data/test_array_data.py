"""Plain arrays teach a policy what the data set of the same rows does."""

import numpy as np
import pytest

from bandits import KNN, UCB1, BestFixedArm, LinUCB
from bandits.testing import example_data, example_log


@pytest.mark.parametrize("cls", [LinUCB, KNN, UCB1, BestFixedArm])
def test_arrays_with_propensities_are_the_log(cls):
    log = example_log()
    expected = cls().fit(log)
    arrays = (log.contexts, log.actions, log.rewards, log.propensities, log.arm_names)
    by_name = (log.contexts, [log.arm_names[a] for a in log.actions], log.rewards, log.propensities, log.arm_names)
    for given in (arrays, by_name):
        policy = cls().fit(*given)
        policy.update(*given[:4])
        twice = cls().fit(log)
        twice.update(log)
        assert policy.arm_names == expected.arm_names
        np.testing.assert_array_equal(policy.probabilities(log.contexts), twice.probabilities(log.contexts))


@pytest.mark.parametrize("cls", [LinUCB, KNN, UCB1])
def test_policies_of_the_reward_given_the_context_need_no_propensities(cls):
    log = example_log()
    policy = cls().fit(log.contexts, log.actions, log.rewards, arm_names=log.arm_names)
    expected = cls().fit(log).predict_rewards(log.contexts)
    np.testing.assert_allclose(policy.predict_rewards(log.contexts), expected, rtol=1e-9)


def test_without_propensities_the_best_fixed_arm_is_that_of_plain_means():
    policy = BestFixedArm().fit(np.zeros((4, 2)), [0, 0, 1, 1], [1.0, 0.0, 0.3, 0.4])
    assert policy.arm_names == ("0", "1")
    np.testing.assert_allclose(policy.mean_rewards(), [0.5, 0.35])


def test_names_come_from_the_policy_then_the_actions():
    contexts, rewards = np.zeros((3, 2)), [1.0, 2.0, 3.0]
    assert UCB1().fit(contexts, ["b", "a", "b"], rewards).arm_names == ("b", "a")
    policy = UCB1(arm_names=("a", "b", "c")).fit(contexts, ["b", "a", "b"], rewards)
    assert policy.predict_rewards(contexts[:1]).tolist() == [[2.0, 2.0, -np.inf]]
    with pytest.raises(ValueError, match="row 1 is 'z', which is not among the arms a, b, c"):
        policy.update(contexts, ["b", "z", "a"], rewards)


def test_mixed_and_missing_arguments_are_named():
    data = example_data()
    policy = LinUCB()
    with pytest.raises(TypeError, match="one data set or arrays, not both: got FullInformationData and actions"):
        policy.fit(data, actions=[0])
    with pytest.raises(TypeError, match="one data set or arrays, not both: got FullInformationData and propensities"):
        policy.update(data, propensities=[0.5])
    with pytest.raises(TypeError, match="arrays contexts, actions and rewards; got ndarray and actions"):
        policy.fit(data.contexts, [0] * 60)
    with pytest.raises(ValueError, match=r"rewards must have shape \(60\)"):
        policy.fit(data.contexts, [0] * 60, [1.0])
    with pytest.raises(ValueError, match="propensities must be in"):
        policy.fit(data.contexts, [0] * 60, np.ones(60), np.zeros(60))
    assert policy.state is None
