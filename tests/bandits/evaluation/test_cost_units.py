"""Figures that look like two units are told."""

import numpy as np
import pytest

from bandits import ComparisonSettings, FullInformationData, LinUCB, Uniform, compare
from bandits.evaluation import trade_off
from bandits.evaluation.cost_units import notes_on_units


def _data(costs):
    rng = np.random.default_rng(0)
    n = len(costs)
    return FullInformationData(rng.normal(size=(n, 2)), rng.random((n, 2)), ("small", "large"), costs=costs)


PRICES = np.tile([0.001, 0.03], (60, 1)) * np.random.default_rng(1).uniform(0.5, 2.0, size=(60, 1))


def test_costs_of_one_arm_in_two_units_are_told_by_its_name():
    mixed = PRICES.copy()
    mixed[:30, 1] *= 1e6  # of a million tokens, beside dollars
    (said,) = notes_on_units(_data(mixed))
    assert "costs of arm 'large' lie between" in said
    assert "bring all to one" in said
    assert notes_on_units(_data(mixed).log_with(Uniform(), np.random.default_rng(0)))
    assert notes_on_units(_data(PRICES)) == ()


@pytest.mark.parametrize(("weight", "outcome"), [(1e6, "price alone decides"), (1e-4, "price decides nothing")])
def test_a_weight_in_another_unit_than_costs_is_told(weight, outcome):
    settings = ComparisonSettings(cost_weight=weight, train_shares=(1.0,), n_bootstrap=20)
    found = compare({"lin": LinUCB()}, _data(PRICES), (0,), settings=settings)
    assert any(outcome in note and "units of reward a unit of cost" in note for note in found.notes)
    swept = trade_off(
        {"lin": LinUCB()}, _data(PRICES), (0.0, weight), (0,), settings=ComparisonSettings(n_bootstrap=20)
    )
    assert any(outcome in note for note in swept.notes)


def test_weights_of_which_some_matter_are_not_told():
    assert notes_on_units(_data(PRICES), (0.0, 1e-4, 10.0, 1e6)) == ()
    assert notes_on_units(_data(PRICES), (0.0,)) == ()
