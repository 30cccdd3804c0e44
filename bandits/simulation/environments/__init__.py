"""Simulated environments, one a file; see `bandits.simulate`."""

from bandits.simulation.environments.drifting import DriftingEnvironment
from bandits.simulation.environments.environment import Environment, Situations
from bandits.simulation.environments.full_information import FullInformationEnvironment
from bandits.simulation.environments.linear import LinearEnvironment
from bandits.simulation.environments.non_linear import NonLinearEnvironment
from bandits.simulation.environments.supervised import SupervisedEnvironment

__all__ = [
    "DriftingEnvironment",
    "Environment",
    "FullInformationEnvironment",
    "LinearEnvironment",
    "NonLinearEnvironment",
    "Situations",
    "SupervisedEnvironment",
]
