"""Every available arm with the same probability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64
from bandits.policies.policy import Data, Policy, PolicyState, uniform_over


class Uniform(Policy):
    """Chooses each available arm with equal probability; learns nothing but the names of the arms."""

    exact_updates = True

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return a state without arrays."""
        return PolicyState(arm_names, n_features)

    def update(self, data: Data) -> None:
        """Check that the data fit; there is nothing to learn."""
        self.align(data)

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return 1 over the number of available arms."""
        rows, mask = self.check(contexts, available)
        return uniform_over(np.ones((len(rows), len(self.arm_names)), np.bool_) if mask is None else mask)
