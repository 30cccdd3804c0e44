"""Every available arm with the same probability."""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool, Float32, Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.distributions import uniform_over
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState


class Uniform(Policy):
    """Chooses each available arm with equal probability; learns nothing but the names of the arms."""

    exact_updates = True

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return a state without arrays."""
        return PolicyState(arm_names, n_features)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn nothing."""
        return state

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return 1 over the number of available arms."""
        every = np.ones((len(contexts), len(state.arm_names)), np.bool_)
        return uniform_over(every if available is None else available)
