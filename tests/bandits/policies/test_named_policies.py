import numpy as np
import pytest

from bandits import (
    FullInformationData,
    LinUCB,
    LoggedData,
    Uniform,
    compare,
    estimate,
    evaluate,
    simulate,
)
from bandits.simulation.environments.linear import LinearEnvironment

RNG = np.random.default_rng(0)
CONTEXTS = RNG.normal(size=(40, 2))
SHOWN = FullInformationData(CONTEXTS, RNG.random((40, 2)), ("a", "b"))
LOG = LoggedData(CONTEXTS, RNG.integers(2, size=40), RNG.random(40), np.full(40, 0.5), ("a", "b"))
ENVIRONMENT = LinearEnvironment(n_arms=2, n_features=2)


def test_every_verb_takes_one_policy_under_the_name_of_its_class():
    fitted = LinUCB().fit(SHOWN)
    assert evaluate(fitted, SHOWN)["LinUCB"].value == evaluate({"LinUCB": fitted}, SHOWN)["LinUCB"].value
    assert compare(LinUCB(), SHOWN, (0,))["LinUCB"].value == compare({"LinUCB": LinUCB()}, SHOWN, (0,))["LinUCB"].value
    one, named = (simulate(policies, ENVIRONMENT, 5, (0,)) for policies in (Uniform(), {"Uniform": Uniform()}))
    assert one["Uniform"].value == named["Uniform"].value


@pytest.mark.parametrize("policies", [[LinUCB()], None, {"mine": "LinUCB"}])
def test_what_is_no_policy_is_refused_by_every_verb(policies):
    with pytest.raises(TypeError, match="must be a"):
        evaluate(policies, SHOWN)
    with pytest.raises(TypeError, match="must be a"):
        compare(policies, SHOWN)
    with pytest.raises(TypeError, match="must be a"):
        simulate(policies, ENVIRONMENT, 5)
    with pytest.raises(TypeError, match="must be one Policy"):
        estimate(policies, LOG)


def test_data_of_another_kind_are_refused_with_what_takes_them():
    fitted = LinUCB().fit(SHOWN)
    with pytest.raises(TypeError, match="a log is for estimate"):
        evaluate(fitted, LOG)
    with pytest.raises(TypeError, match="needs LoggedData, got FullInformationData"):
        estimate(fitted, SHOWN)
    with pytest.raises(TypeError, match="data must be FullInformationData, LoggedData or a stream of either"):
        compare(fitted, [1, 2])
    with pytest.raises(TypeError, match="environment must be an Environment"):
        simulate(fitted, SHOWN, 10)


def test_an_estimate_tells_its_bounds_by_their_names():
    row = estimate(Uniform(("a", "b")), LOG)["DoublyRobust"]
    assert (row.low, row.high) == row.interval
