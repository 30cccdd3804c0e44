"""Simulated environments, one a file; see `bandits.simulate`."""

from bandits.simulation.environments.drifting import DriftingEnvironment
from bandits.simulation.environments.environment import Environment, EnvironmentBatch
from bandits.simulation.environments.full_information import FullInformationEnvironment
from bandits.simulation.environments.linear import LinearEnvironment
from bandits.simulation.environments.non_linear import NonLinearEnvironment
from bandits.simulation.environments.supervised import SupervisedEnvironment

ENVIRONMENTS: dict[str, type[Environment]] = {
    "linear": LinearEnvironment,
    "non_linear": NonLinearEnvironment,
    "drifting": DriftingEnvironment,
    "supervised": SupervisedEnvironment,
    "full_information": FullInformationEnvironment,
}
"""Environments by name."""

__all__ = [
    "ENVIRONMENTS",
    "DriftingEnvironment",
    "Environment",
    "EnvironmentBatch",
    "FullInformationEnvironment",
    "LinearEnvironment",
    "NonLinearEnvironment",
    "SupervisedEnvironment",
]
