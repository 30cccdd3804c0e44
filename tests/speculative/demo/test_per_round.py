"""The row of a choice per round is counted as the policies' rows are."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import BestFixedArm, FullInformationData, evaluate
from speculative.collection.replay import Replay
from speculative.demo.per_round import PerRound, with_per_round

ARMS = ("no_draft", "lookup", "rule")


def _data():
    rng = np.random.default_rng(0)
    costs = rng.uniform(1, 3, size=(12, 3))
    return FullInformationData(
        rng.normal(size=(12, 2)).astype(np.float32),
        costs[:, :1] - costs,
        ARMS,
        costs=costs,
        query_ids=tuple(f"q{i}" for i in range(12)),
    )


def _played(data, arm):
    """What a choice per round brings that always takes one arm, twice a query."""
    seconds = data.costs[:, data.arm_names.index(arm)]
    own = ARMS.index(arm)
    found = {
        name: Replay((0, 0), (0, 0), float(s), (own, own)) for name, s in zip(data.query_ids, seconds, strict=True)
    }
    return PerRound(None, ARMS, found)


@pytest.mark.parametrize("arm", ARMS)
def test_a_choice_that_always_takes_one_arm_has_that_arms_row(arm):
    data = _data()
    evaluation = evaluate({"fixed": BestFixedArm().fit(data)}, data, training_data=data)
    found = with_per_round(evaluation, _played(data, arm), data)
    assert [row.name for row in found] == ["fixed", "per round", *ARMS, "oracle", "fastest"]
    own, expected = found["per round"], found[arm]
    for name in ("value", "low", "high"):
        assert getattr(own, name) == pytest.approx(getattr(expected, name))
    for name in ("regret", "speedup", "slower_share", "difference"):
        one, other = getattr(own, name), getattr(expected, name)
        assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high))
    assert own.arm_shares == expected.arm_shares
    assert found.conclusion == evaluation.conclusion


def test_data_without_seconds_are_refused():
    data = _data()
    evaluation = evaluate({}, data)
    with pytest.raises(ValueError, match="must hold costs and query ids"):
        with_per_round(evaluation, _played(data, "lookup"), replace(data, costs=None))
