"""Policies that keep all rows they learned from."""

from __future__ import annotations

from abc import ABC

import numpy as np

from bandits.data.policy_data import PolicyData
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class KeptRows(PredictsRewards, ABC):
    """Keeps contexts, and each arm's rewards and weights on them; a subclass writes `_predict_rewards`.

    Memory is that of the log, and so is the time of an update.
    """

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return no rows; `weights` is 0 where a row says nothing about an arm."""
        per_arm = {name: np.zeros((len(arm_names), 0)) for name in ("rewards", "weights")}
        return PolicyState(arm_names, n_features, per_arm, {"contexts": np.zeros((0, n_features), np.float32)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Keep the rows."""
        rewards, weights = data.feedback().by_arm()
        per_arm = {
            "rewards": np.concatenate([state.per_arm["rewards"], rewards], axis=1),
            "weights": np.concatenate([state.per_arm["weights"], weights], axis=1),
        }
        return state.updated(per_arm, {"contexts": np.concatenate([state.shared["contexts"], data.contexts])})

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative weights."""
        check_not_negative(arrays, "per_arm.weights")
