"""Policies that keep all rows they learned from."""

from __future__ import annotations

from abc import ABC
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from bandits.data.policy_data import PolicyData
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class ArmKey(NamedTuple):
    """What something derived from one arm's rows is kept under, for as long as no row says more about the arm.

    Attributes:
        what: its name.
        arm: index of the arm.
        settings: on which it depends besides.
    """

    what: str
    arm: int
    settings: Hashable


class KeptRows(PredictsRewards, ABC):
    """Keeps contexts, and each arm's rewards and weights on them; a subclass writes `_predict_rewards`.

    Memory is that of the log, and so is the time of an update. What a subclass derives from an arm's rows under an
    `ArmKey` stays while only other arms are taught.
    """

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return no rows; `weights` is 0 where a row says nothing about an arm."""
        per_arm = {name: np.zeros((len(arm_names), 0)) for name in ("rewards", "weights")}
        return PolicyState(arm_names, n_features, per_arm, {"contexts": np.zeros((0, n_features), np.float32)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Keep the rows, and what was derived of arms that they say nothing about."""
        rewards, weights = data.feedback().by_arm()
        per_arm = {
            "rewards": np.concatenate([state.per_arm["rewards"], rewards], axis=1),
            "weights": np.concatenate([state.per_arm["weights"], weights], axis=1),
        }
        new = state.updated(per_arm, {"contexts": np.concatenate([state.shared["contexts"], data.contexts])})
        untaught = np.flatnonzero(~weights.any(axis=1)).tolist()
        for key, known in tuple(state.derived.items()):
            if isinstance(key, ArmKey) and key.arm in untaught:
                new.derived[key] = known
        return new

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative weights."""
        check_not_negative(arrays, "per_arm.weights")
