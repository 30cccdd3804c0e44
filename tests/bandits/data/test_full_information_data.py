"""Full-information data: checks, exact values, other rewards, logs drawn from it, life on disk."""

import numpy as np
import pytest

from arms import Observation
from bandits import BestFixedArm, FullInformationData, LinUCB, Uniform
from bandits.testing import example_data
from rewards import Reward

ARMS = ("no_draft", "draft")


def observation(arm, query, seconds):
    return Observation(arm=arm, query_id=query, text="t", n_tokens=10, seconds=seconds)


def data(**changes):
    seconds = np.array([[2.0, 1.0], [2.0, 4.0], [3.0, 1.5]])
    fields = {
        "contexts": np.arange(6.0).reshape(3, 2),
        "rewards": 1 / seconds,
        "arm_names": ARMS,
        "costs": seconds,
        "query_ids": ["a", "b", "c"],
        "domains": ["x", "x", "y"],
        "observations": [
            [observation(arm, query, s) for arm, s in zip(ARMS, row, strict=True)]
            for query, row in zip("abc", seconds, strict=True)
        ],
        "encoder": "hashing-2",
    }
    return FullInformationData(**{**fields, **changes})


class Slowness(Reward):
    bounds = (0.0, 100.0)

    def _value(self, observation):
        return observation.seconds


def test_with_reward_recomputes_from_observations():
    np.testing.assert_array_equal(data().with_reward(Slowness()).rewards, data().costs)
    with pytest.raises(ValueError, match="hold none"):
        data(observations=None).with_reward(Slowness())


def test_value_is_the_exact_expectation():
    uniform = Uniform().fit(data())
    assert data().value(uniform) == pytest.approx(data().rewards.mean())
    assert data().value(BestFixedArm().fit(data())) == pytest.approx(data().rewards.mean(axis=0).max())


def test_value_uses_fully_observed_rows_only():
    ragged = data(observed=[[True, True], [True, False], [True, True]], observations=None)
    expected = data().rewards[[0, 2]].mean()
    assert ragged.value(Uniform().fit(ragged)) == pytest.approx(expected)
    assert np.isnan(ragged.rewards[1, 1])
    nothing = data(observed=[[True, False]] * 3, observations=None)
    with pytest.raises(ValueError, match="there is none"):
        nothing.value(Uniform().fit(data()))


def test_value_matches_arms_by_name():
    policy = BestFixedArm(arm_names=("draft", "no_draft")).fit(data())
    assert data().value(policy) == pytest.approx(data().rewards.mean(axis=0).max())
    policy.add_arm("third")
    with pytest.raises(ValueError, match="may choose 'third'"):
        data().value(policy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rewards": [[1.0, np.nan], [1, 1], [1, 1]]},
            r"rewards must be finite: row 0, column 1 is nan.*observed=",
        ),
        ({"costs": [[1.0, -1.0], [1, 1], [1, 1]]}, r"costs must be >= 0: row 0, column 1 is -1.0"),
        ({"observed": [[False, False]] + [[True, True]] * 2}, "row 0 has none"),
        ({"rewards": np.zeros((2, 2))}, r"rewards must have shape \(3, 2\)"),
        ({"observations": [[None, None]] * 3}, "row 0, arm 'no_draft' is missing"),
        ({"observations": [[observation("draft", "a", 1.0)] * 2] * 3}, "one of 'draft' under 'no_draft'"),
        ({"observed": [[True, False]] * 3}, "is there although"),
        ({"contexts": np.zeros((3, 0))}, "at least one feature"),
    ],
)
def test_bad_rows_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        data(**changes)


def test_log_with_records_what_the_policy_did():
    full = example_data(n_rows=400)
    policy = Uniform()
    log = full.log_with(policy, np.random.default_rng(0))
    assert log.query_ids == full.query_ids
    np.testing.assert_allclose(log.propensities, 1 / 3)
    np.testing.assert_array_equal(log.rewards, full.rewards[np.arange(400), log.actions])
    assert np.bincount(log.actions, minlength=3).min() > 100
    again = full.log_with(Uniform(), np.random.default_rng(0))
    np.testing.assert_array_equal(log.actions, again.actions)


def test_log_with_draws_observed_arms_only_and_maps_names():
    full = example_data(n_rows=200)
    observed = np.random.default_rng(1).random((200, 3)) < 0.5
    observed[np.arange(200), np.arange(200) % 3] = True
    ragged = FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed)
    policy = Uniform(arm_names=("extra", *reversed(full.arm_names)))
    log = ragged.log_with(policy, np.random.default_rng(0))
    columns = [full.arm_names.index(log.arm_names[a]) for a in log.actions]
    assert observed[np.arange(200), columns].all()
    np.testing.assert_array_equal(log.rewards, full.rewards[np.arange(200), columns])
    assert not log.available[:, 0].any()


def same(left, right):
    for name in ("contexts", "rewards", "costs", "observed_mask"):
        np.testing.assert_array_equal(getattr(left, name), getattr(right, name))
    for name in ("arm_names", "query_ids", "domains", "observations", "encoder"):
        assert getattr(left, name) == getattr(right, name)


def test_saved_data_come_back(tmp_path):
    data().save(tmp_path)
    same(FullInformationData.load(tmp_path), data())
    with pytest.raises(ValueError, match="part files already"):
        data().save(tmp_path)


def test_ragged_data_come_back(tmp_path):
    rows = data()
    ragged = FullInformationData.concat([rows.select_arms(("no_draft",)), rows.with_arms(("draft", "no_draft", "new"))])
    ragged.save(tmp_path)
    same(FullInformationData.load(tmp_path), ragged)
    assert ragged.arm_names == ("no_draft", "draft", "new")
    assert ragged.observed_mask.sum() == 3 + 6
    assert ragged.observations[0] == (rows.observations[0][0], None, None)


def test_select_arms_drops_rows_that_say_nothing():
    ragged = data(observed=[[True, True], [True, False], [True, True]], observations=None)
    assert ragged.select_arms(("draft",)).query_ids == ("a", "c")
    with pytest.raises(ValueError, match="no row"):
        ragged.select_arms(("nobody",))


def test_concat_refuses_costs_in_one_part_only():
    with pytest.raises(ValueError, match="all have costs"):
        FullInformationData.concat([data(), data(costs=None)])


def test_linear_policies_learn_from_every_observed_arm():
    full = example_data()
    one_by_one = LinUCB(arm_names=full.arm_names)
    for arm, name in enumerate(full.arm_names):
        observed = np.zeros(full.rewards.shape, bool)
        observed[:, arm] = True
        one_by_one.update(FullInformationData(full.contexts, full.rewards, full.arm_names, observed=observed))
        assert name in one_by_one.arm_names
    whole = LinUCB().fit(full)
    np.testing.assert_allclose(one_by_one.ridge.coefficients, whole.ridge.coefficients, rtol=1e-9)


def test_different_queries_of_one_id_are_not_joined(tmp_path):
    def collected(seed):
        rng = np.random.default_rng(seed)
        ids = [f"line-{i + 1}" for i in range(40)]
        return FullInformationData(rng.normal(size=(40, 2)), rng.normal(size=(40, 2)), ("a", "b"), query_ids=ids)

    shared = "parts 0 and 1 both have a query 'line-1', with other contexts"
    with pytest.raises(ValueError, match=shared):
        FullInformationData.concat([collected(1), collected(2)])
    assert len(FullInformationData.concat([collected(1), collected(1)])) == 80
    for index in range(2):
        collected(index).write_part(tmp_path, index)
    FullInformationData.close_folder(tmp_path)
    with pytest.raises(ValueError, match=shared):
        FullInformationData.load(tmp_path)


@pytest.mark.parametrize("profiles", ["abc", (["abc"],), (None,)])
def test_cost_profiles_are_texts(profiles):
    with pytest.raises(TypeError, match="cost_profiles must be a tuple of strings"):
        data(cost_profiles=profiles)
