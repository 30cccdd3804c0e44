"""The least cost at a given quality."""

from __future__ import annotations

import numpy as np

from bandits import checks
from bandits.checks import Float64
from bandits.policies.constrained import Constrained
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState


class LeastCost(Constrained):
    """Chooses for the least cost whose mean reward stays at or above a quality.

    The quality is that which the policy predicts, on contexts that it learned from: leave room above what must hold,
    and see on held-out queries what holds (`evaluate`, or `estimate` on a log).

    Args:
        policy: see `Priced`.
        quality: mean reward; None takes that of the arm of the highest predicted mean reward: as good as the best
            fixed arm, at least cost.

    Raises:
        ValueError: if the quality is above what the best choices are predicted to bring.
    """

    def __init__(self, policy: Policy | None = None, *, quality: float | None = None) -> None:
        super().__init__(policy)
        self.quality = None if quality is None else checks.number(quality, "quality")

    def _figure(self, state: PolicyState, rewards: Float64, costs: Float64) -> tuple[Float64, float]:
        """Return the rewards, and the quality that their mean may fall to."""
        finite = np.where(np.isfinite(rewards), rewards, 0.0)
        if self.quality is None:
            return finite, float(rewards.mean(axis=0).max())
        best = float(rewards.max(axis=1).mean())
        if state.n_rows == 0 and best < self.quality:
            raise ValueError(
                f"quality {self.quality:g} is met by no policy: the best choices are predicted to bring {best:.3g}"
            )
        return finite, self.quality
