"""Reward models and kinds of intervals by name."""

from __future__ import annotations

from arms.plugin import plugin_of_call
from bandits.off_policy.anytime import Anytime
from bandits.off_policy.intervals import BootstrapInterval, DeltaMethod, EmpiricalBernstein, IntervalMethod
from bandits.off_policy.refitted_bootstrap import RefittedBootstrap
from bandits.off_policy.regression_model import CrossFittedRegression
from bandits.off_policy.reward_model import ConstantReward, CrossFittedRidge, RewardModel

REWARD_MODELS: dict[str, type[RewardModel]] = {
    "cross_fitted_ridge": CrossFittedRidge,
    "cross_fitted_regression": CrossFittedRegression,
    "constant_reward": ConstantReward,
}
"""Reward models by name."""

INTERVALS: dict[str, type[IntervalMethod]] = {
    "delta": DeltaMethod,
    "bootstrap": BootstrapInterval,
    "refitted_bootstrap": RefittedBootstrap,
    "empirical_bernstein": EmpiricalBernstein,
    "anytime": Anytime,
}
"""Kinds of intervals by name."""


def make_reward_model(text: str) -> RewardModel:
    """Return a reward model by its name: `cross_fitted_regression(regressor='sklearn.linear_model:Ridge')`.

    Args:
        text: a key of `REWARD_MODELS` or "package.module:Class", some with settings, see `arms.named_call.read_call`.

    Raises:
        ValueError: if the name is unknown, or a setting is none of its own or missing.
    """
    cls, values = plugin_of_call(text, None, REWARD_MODELS, RewardModel, "reward model")
    return cls(**values)


def make_interval(text: str) -> IntervalMethod:
    """Return a kind of interval by its name: `bootstrap(n_resamples=500)`.

    Args:
        text: a key of `INTERVALS` or "package.module:Class", some with settings, see `arms.named_call.read_call`.

    Raises:
        ValueError: if the name is unknown, or a setting is none of its own or missing.
    """
    cls, values = plugin_of_call(text, None, INTERVALS, IntervalMethod, "interval")
    return cls(**values)
