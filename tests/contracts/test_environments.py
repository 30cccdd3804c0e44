"""Every environment keeps the contract, and the contract catches environments that do not."""

import numpy as np
import pytest

from bandits.simulation.environments import (
    ENVIRONMENTS,
    DriftingEnvironment,
    EnvironmentBatch,
    LinearEnvironment,
)
from bandits.testing import check_environment, example_data

MAKE = {
    "supervised": lambda: ENVIRONMENTS["supervised"](
        example_data().contexts, classes=example_data().rewards.argmax(axis=1)
    ),
    "full_information": lambda: ENVIRONMENTS["full_information"](example_data()),
}
CASES = {**ENVIRONMENTS, **MAKE, "gradual drift, as an instance": DriftingEnvironment(3, gradual=True)}


@pytest.mark.parametrize("environment", CASES.values(), ids=CASES.keys())
def test_environment_keeps_the_contract(environment):
    check_environment(environment)


class OwnNoise(LinearEnvironment):
    def draw(self, n_decisions, rng):
        return super().draw(n_decisions, np.random.default_rng())


class Short(LinearEnvironment):
    def draw(self, n_decisions, rng):
        batch = super().draw(n_decisions, rng)
        return EnvironmentBatch(batch.contexts[1:], batch.rewards[1:], batch.means[1:])


class OneArm(LinearEnvironment):
    arm_names = ("only",)


@pytest.mark.parametrize(
    ("broken", "message"), [(OwnNoise, "one seed must give one batch"), (Short, "shape"), (OneArm, "two names")]
)
def test_the_contract_catches(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_environment(broken)
