"""An environment made of full-information data."""

from __future__ import annotations

import numpy as np

from bandits.data.full_information_data import FullInformationData
from bandits.simulation.environments.environment import Environment, EnvironmentBatch


class FullInformationEnvironment(Environment):
    """Shows the rows of full-information data in random order; after the last, all again in a new order.

    Args:
        data: rows on which some arm is not observed are left out.

    Raises:
        ValueError: if no row is fully observed.
    """

    def __init__(self, data: FullInformationData) -> None:
        self.data = data.complete_rows()

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return the data's arms."""
        return self.data.arm_names

    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Return rows in random order; regret is counted against the best arm of each row."""
        n_rounds = -(-n_decisions // len(self.data))
        rows = np.concatenate([rng.permutation(len(self.data)) for _ in range(n_rounds)])[:n_decisions]
        return EnvironmentBatch(self.data.contexts[rows], self.data.rewards[rows])
