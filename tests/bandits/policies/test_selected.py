"""Selected: values by hand, and the choice that follows from them."""

import numpy as np
import pytest

from bandits import BestFixedArm, FullInformationData, LinUCB, LoggedData, Uniform
from bandits.policies import BetaTS, LogisticUCB, Selected
from bandits.testing import example_data, example_log


def made(signal, n_rows=200, seed=0):
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n_rows, 4)).astype(np.float32)
    rewards = signal * contexts @ rng.normal(size=(4, 3)) + rng.normal(size=(n_rows, 3)) + [0.0, 0.4, 0.0]
    return FullInformationData(contexts, rewards, ("a", "b", "c"))


@pytest.mark.parametrize(("signal", "chosen"), [(0.0, "first"), (1.0, "second")])
def test_the_policy_that_looks_is_chosen_where_looking_pays(signal, chosen):
    data = made(signal)
    for one in (data, data.log_with(Uniform(), np.random.default_rng(1))):
        policy = Selected(BestFixedArm(), LinUCB(0.0, prior_precision=10.0)).fit(one)
        assert policy.chosen == chosen
        alone = (BestFixedArm() if chosen == "first" else LinUCB(0.0, prior_precision=10.0)).fit(one)
        np.testing.assert_array_equal(policy.probabilities(data.contexts), alone.probabilities(data.contexts))


def test_rows_that_come_alone_are_valued_before_they_are_learned():
    log, policy = example_log(), Selected(LinUCB(), Uniform())
    policy.start(log.arm_names, log.n_features)
    plain, rewards, weights = LinUCB(arm_names=log.arm_names), 0.0, 0.0
    for row in range(20):
        one = log.subset([row])
        weight = plain.probabilities(one.contexts)[0, one.actions[0]] / one.propensities[0]
        rewards, weights = rewards + weight * one.rewards[0], weights + weight
        plain.update(one)
        policy.update(one)
    values = policy.held_out_values()
    assert values["first"] == pytest.approx(rewards / weights)
    assert values["second"] == pytest.approx(log.rewards[:20].mean())


def test_a_row_is_never_valued_by_what_it_taught():
    rng = np.random.default_rng(0)
    noise = FullInformationData(rng.normal(size=(60, 30)), rng.normal(size=(60, 2)), ("a", "b"))
    overfitted = LinUCB(0.0, prior_precision=1e-6).fit(noise)
    assert noise.value(overfitted) > 0.4  # on the rows that it learned
    policy = Selected(Uniform(), LinUCB(0.0, prior_precision=1e-6)).fit(noise)
    assert policy.held_out_values()["second"] < 0.3


def test_three_are_two_of_which_one_is_two_and_rewards_are_what_all_take():
    nested = Selected(BetaTS(), Selected(LogisticUCB(), LinUCB()))
    assert nested.reward_kind == "binary"
    assert nested.fit(example_data(reward_kind="binary")).chosen in ("first", "second")
    with pytest.raises(ValueError, match="Selected must learn from rewards 0 or 1"):
        nested.fit(LoggedData(np.zeros((1, 2)), [0], [0.5], [0.5], ("a", "b")))
    with pytest.raises(TypeError, match="second must be a Policy, got 3"):
        Selected(BetaTS(), 3)


def test_a_nested_one_checks_its_own_arrays_and_all_of_them():
    nested = Selected(Selected(BetaTS(), LinUCB()), Selected(LinUCB(), BetaTS())).fit(
        example_data(reward_kind="binary")
    )
    for name in ("first.first.counts", "first.second.row_weight", "second.first.row_weight", "second.second.counts"):
        arrays = nested.learned.tensors()
        nested.check_arrays(arrays)
        arrays[f"per_arm.{name}"] = arrays[f"per_arm.{name}"] - 1e6
        with pytest.raises(ValueError, match="must not be negative"):
            nested.check_arrays(arrays)
