"""The part of the contexts that tells the arms apart is worth most, and a part that says nothing is worth nothing."""

import numpy as np
import pytest

from bandits import KNN, FullInformationData, LinUCB
from bandits.evaluation.importance import feature_importance, held_out_importance

GROUPS = {"noise": range(1), "kind": range(1, 3)}


def _data(costs=True):
    rng = np.random.default_rng(0)
    n, even = 60, np.arange(60) % 2 == 0
    seconds = np.stack([np.ones(n), np.where(even, 0.4, 0.8), np.where(even, 0.8, 0.4)], axis=1)
    contexts = np.column_stack([rng.random(n), even, ~even]).astype(np.float32)
    return FullInformationData(
        contexts=contexts,
        rewards=seconds[:, :1] - seconds,
        costs=seconds if costs else None,
        arm_names=("no_draft", "short", "long"),
        query_ids=tuple(f"q{i}" for i in range(n)),
    )


@pytest.mark.parametrize("policy", [LinUCB(ucb_width=0.0), KNN(n_neighbors=3)])
def test_the_part_that_tells_arms_apart_is_worth_what_choosing_blindly_costs(policy):
    kind, noise = feature_importance(policy, _data(), GROUPS, n_folds=5)
    assert (kind.name, noise.name) == ("kind", "noise")
    assert kind.value == pytest.approx(0.5, abs=0.1)  # half of the choices take 0.8 s in place of 0.4
    assert kind.low > 0.3
    assert abs(noise.value) < 0.05


def test_without_seconds_it_is_the_mean_reward_that_is_lost():
    kind, _ = feature_importance(LinUCB(ucb_width=0.0), _data(costs=False), GROUPS, n_folds=5)
    assert kind.value == pytest.approx(0.2, abs=0.05)


def test_a_fitted_policy_is_asked_as_it_is():
    policy = LinUCB(ucb_width=0.0).fit(_data())
    kind, noise = held_out_importance(policy, _data(), GROUPS)
    assert (kind.name, noise.name) == ("kind", "noise")
    assert kind.value == pytest.approx(0.5, abs=0.1)
    assert noise.value == 0.0
    with pytest.raises(ValueError, match="needs >= 2 queries on which every arm is observed, got 1"):
        held_out_importance(policy, _data().subset(np.arange(1)), GROUPS)
    with pytest.raises(ValueError, match="n_permutations must be an integer >= 1, got 0"):
        held_out_importance(policy, _data(), GROUPS, n_permutations=0)


def test_a_part_of_columns_that_are_not_there_is_refused():
    with pytest.raises(ValueError, match=r"part 'far' must name columns in \[0, 3\), got \[3\]"):
        feature_importance(LinUCB(), _data(), {"far": [3]})
    with pytest.raises(ValueError, match="needs >= 2 queries on which every arm is observed"):
        feature_importance(LinUCB(), _data().subset(np.arange(1)), GROUPS)
