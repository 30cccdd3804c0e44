"""Hedge: exponential weights over the arms, whatever the context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, scale
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.softmax import softmax
from bandits.policies.state import PolicyState


class Hedge(BestFixedArm):
    """Chooses an arm with a probability that grows exponentially with what it brought, or would have brought.

        p(a) proportional to exp(rate * n * mean reward of a),   rate = sqrt(8 ln k / n) / reward_range

    Made for full information, where n * mean is the sum of the arm's rewards over all n rows; on a log it is estimated
    as in `BestFixedArm`, whose sums these are. An arm without data is taken for the best one, so that it is tried.
    Against every sequence of rewards the expected sum is below the best arm's by at most
    reward_range * (sqrt(2 n ln k) + sqrt(ln(k) / 8)).

    Args:
        reward_range: in [1e-150, 1e150], the highest reward less the lowest.
        arm_names: see `Policy`.

    Source: Freund and Schapire 1997, A Decision-Theoretic Generalization of On-Line Learning, Hedge; the rate: Cesa-
    Bianchi and Lugosi 2006, Prediction, Learning, and Games, Theorem 2.3.
    """

    def __init__(self, reward_range: float = 1.0, *, arm_names: Sequence[str] | None = None) -> None:
        super().__init__(arm_names)
        self.reward_range = scale(reward_range, "reward_range")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the weights, the same for each row."""
        means = self._predict_rewards(state, contexts)
        weights = state.per_arm["weights"]
        if not weights.any():
            return softmax(np.zeros(means.shape), available)
        known = np.where(np.isneginf(means), means.max(axis=1, keepdims=True), means)
        factor = np.sqrt(8.0 * np.log(len(weights)) * weights[weights > 0].mean()) / self.reward_range
        return softmax(factor * known, available)
