"""Simulated worlds, one a file; see `bandits.simulate`."""

from bandits.environments.drifting import DriftingEnvironment
from bandits.environments.environment import Environment, Situations
from bandits.environments.full_information import FullInformationEnvironment
from bandits.environments.linear import LinearEnvironment
from bandits.environments.non_linear import NonLinearEnvironment
from bandits.environments.supervised import SupervisedEnvironment

__all__ = [
    "DriftingEnvironment",
    "Environment",
    "FullInformationEnvironment",
    "LinearEnvironment",
    "NonLinearEnvironment",
    "Situations",
    "SupervisedEnvironment",
]
