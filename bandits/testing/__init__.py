"""Checks that a policy, encoder or estimator of one's own keeps the contract."""

from bandits.testing.encoders import check_encoder
from bandits.testing.environments import check_environment
from bandits.testing.estimators import check_estimator, example_problem
from bandits.testing.policies import check_policy, example_data, example_log

__all__ = [
    "check_encoder",
    "check_environment",
    "check_estimator",
    "check_policy",
    "example_data",
    "example_log",
    "example_problem",
]
