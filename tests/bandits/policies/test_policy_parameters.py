"""Parameters as in scikit-learn, and arms masked by name."""

import numpy as np
import pytest

from bandits import EpsilonGreedy, LinTS, LinUCB, Reinforce, Softmax, Uniform
from bandits.policies import NoisePrior, make_policy
from bandits.testing import example_data


def test_set_params_equals_a_new_policy():
    data = example_data()
    policy = LinUCB().fit(data)
    assert policy.set_params(ucb_width=0.2, prior_precision=3.0) is policy
    assert policy.state is None
    expected = LinUCB(ucb_width=0.2, prior_precision=3.0).fit(data).predict(data.contexts)
    np.testing.assert_array_equal(policy.fit(data).predict(data.contexts), expected)


def test_set_params_reaches_inside():
    policy = EpsilonGreedy(Softmax(LinUCB(), temperature=0.3), epsilon=0.1)
    inner = policy.policy
    policy.set_params(epsilon=0.2, policy__temperature=0.5, policy__policy__ucb_width=0.0)
    deep = policy.get_params(deep=True)
    assert (deep["epsilon"], deep["policy__temperature"], deep["policy__policy__ucb_width"]) == (0.2, 0.5, 0.0)
    assert inner.temperature == 0.3, "the policy that was passed in is left alone"
    policy.set_params(policy=LinTS())
    assert isinstance(policy.policy, LinTS)


def test_refused_parameters_change_nothing():
    policy = LinUCB(ucb_width=0.7).fit(example_data())
    with pytest.raises(ValueError, match="LinUCB has no argument 'width'; it has ucb_width, prior"):
        policy.set_params(width=1.0)
    with pytest.raises(ValueError, match="has no argument 'ucb_width__x'"):
        policy.set_params(ucb_width__x=1.0)
    with pytest.raises(ValueError, match="prior_precision must be"):
        policy.set_params(ucb_width=0.1, prior_precision=-1.0)
    assert policy.ucb_width == 0.7
    assert policy.state is not None


@pytest.mark.parametrize(
    "make", [LinUCB, LinTS, lambda: EpsilonGreedy(LinUCB()), lambda: Softmax(LinUCB(), temperature=1.0)]
)
def test_arms_are_masked_by_name(make):
    data = example_data()
    policy = make().fit(data)
    mask = np.array([name in ("arm_a", "arm_b") for name in policy.arm_names])
    by_mask = policy.probabilities(data.contexts, np.tile(mask, (60, 1)))
    np.testing.assert_array_equal(policy.probabilities(data.contexts, ("arm_b", "arm_a")), by_mask)
    row = data.contexts[0]
    named = policy.choose(row, np.random.default_rng(0), available=["arm_a", "arm_b"])
    assert named == policy.choose(row, np.random.default_rng(0), available=mask)
    with pytest.raises(ValueError, match="unknown arm 'nobody'"):
        policy.probabilities(data.contexts, ("nobody",))


def test_choice_at_the_edge_of_rounding_takes_an_arm_with_probability():
    class Edge(Uniform):
        def _probabilities(self, state, contexts, available):
            return np.array([[0.1 + 0.2, 0.7, 0.0]])

    class AlwaysLast:
        def random(self):
            return 1.0

    decision = Edge(arm_names=("a", "b", "c")).choose(np.zeros(2), AlwaysLast())
    assert decision.arm == "b"


def test_settings_inside_a_policy_change_by_field():
    policy = Reinforce().set_params(objective__entropy_weight=0.5, training__max_epochs=3)
    assert (policy.objective.entropy_weight, policy.training.max_epochs) == (0.5, 3)
    assert make_policy("lin_ts", {"noise__rate": 0.5}).noise == NoisePrior(rate=0.5)
    with pytest.raises(ValueError, match="training has no field 'speed'; it has learning_rate, "):
        policy.set_params(training__speed=1)
    with pytest.raises(TypeError, match="objective must be ObjectiveSettings or its fields, got 'exact'"):
        Reinforce("exact")
