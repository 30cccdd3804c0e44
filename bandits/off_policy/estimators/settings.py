"""An estimator from a name and settings, as a command line gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args, get_type_hints

from arms.plugin import plugin_of_call
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.named import make_reward_model
from bandits.off_policy.reward_model import RewardModel


def estimator_of_settings(
    text: str, settings: Mapping[str, object] | None, table: Mapping[str, type[OffPolicyEstimator]]
) -> OffPolicyEstimator:
    """Return an estimator; see `bandits.off_policy.estimators.make_estimator`.

    Args:
        text: a name in `table`, or a path, some with settings in parentheses.
        settings: more of them.
        table: the estimators with a name.
    """
    cls, values = plugin_of_call(text, settings, table, OffPolicyEstimator, "estimator")
    try:
        hints = get_type_hints(cls.__init__)
    except NameError:  # annotations that exist for a type checker only
        hints = {}
    return cls(**{key: _made(value, hints.get(key), table) for key, value in values.items()})


def _made(value: object, hint: object, table: Mapping[str, type[OffPolicyEstimator]]) -> object:
    """Return the value; a text made into what it names, where the argument is a reward model or estimators."""
    wanted = (hint, *get_args(hint))
    if isinstance(value, str) and RewardModel in wanted:
        return make_reward_model(value)
    if isinstance(value, str) and OffPolicyEstimator in wanted:
        return estimator_of_settings(value, None, table)
    if isinstance(value, list | tuple) and OffPolicyEstimator in wanted:
        return tuple(_made(one, OffPolicyEstimator, table) for one in value)
    return value
