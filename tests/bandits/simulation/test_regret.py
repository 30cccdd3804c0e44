"""Policies with their default settings go on learning: none holds on to a worse arm for good."""

import numpy as np
import pytest

from bandits import LinTS, LinUCB, simulate
from bandits.policies import SquareCB
from bandits.simulation.environments import LinearEnvironment

ENVIRONMENT = LinearEnvironment(n_arms=4, n_features=10, noise=0.5)  # choosing at random loses 1.07 a decision


@pytest.mark.parametrize("policy", [LinUCB(), LinTS(), SquareCB()], ids=lambda policy: type(policy).__name__)
def test_the_worst_of_ten_runs_loses_little_in_the_second_half(policy):
    result = simulate({"it": policy}, ENVIRONMENT, n_decisions=2000, seeds=range(10), update_every=4)
    regret, decisions = np.array(result["it"].cumulative_regret), np.array(result.decisions)
    middle = int(np.searchsorted(decisions, 1000))
    lost = (regret[:, -1] - regret[:, middle]) / (decisions[-1] - decisions[middle])
    assert lost.max() < 0.02
