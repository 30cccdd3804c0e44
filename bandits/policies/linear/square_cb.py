"""SquareCB: inverse-gap weighting over ridge regression."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, number, positive, scale
from bandits.policies.linear.linear_policy import LinearPolicy
from bandits.policies.state import PolicyState


class SquareCB(LinearPolicy):
    """Chooses an arm the less often, the further its predicted reward lies below the best one.

    With m available arms and predicted rewards y, every arm but the best has

        probability(a) = 1 / (m + sharpness_n * (y_best - y_a)),   sharpness_n = sharpness * n ** growth,

    and the best has the rest (ties for the best share it). n counts the rewards learned from, so the policy
    becomes greedier as it learns. Every available arm keeps a propensity above 0, so its logs can be
    evaluated off-policy.

    Args:
        sharpness: > 0, for rewards within about one unit; divide it by the range of yours.
        growth: in [0, 1); 0 keeps the sharpness fixed. The paper's 0.5 bounds regret by n^(1/2) in the worst case, the
            default by n^(3/4); but on linear rewards 0.5 either explored too much late or, with a sharpness that does
            not, too little early, and then held on to a worse arm.
        prior_precision: see `LinearPolicy`.
        intercept_precision: see `LinearPolicy`; as large as `prior_precision`, because an arm whose mean is free, and
            misled by its first few rewards, is hardly tried again.
        arm_names: see `LinearPolicy`.

    Source: Foster and Rakhlin 2020, Beyond UCB, Algorithm 1 (arXiv:2002.04926), there in losses, with gamma =
    sharpness_n and mu = m; the intercept and the defaults are ours.
    """

    shrinks_parts = False

    def __init__(
        self,
        sharpness: float = 2.5,
        *,
        growth: float = 0.75,
        prior_precision: float = 1.0,
        intercept_precision: float | None = 1.0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        precision = positive(prior_precision, "prior_precision")  # never None: it is not learned here
        super().__init__(precision, intercept_precision=intercept_precision, arm_names=arm_names)
        self.sharpness = scale(sharpness, "sharpness")
        if not 0 <= number(growth, "growth", "in [0, 1)") < 1:
            raise ValueError(f"growth must be in [0, 1), got {growth!r}")
        self.growth = float(growth)

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the inverse-gap weights of the predicted rewards."""
        n_learned = sum(sums.row_weight for sums in self._ridge(state).sums)
        sharpness = self.sharpness * (n_learned**self.growth if n_learned > 0 else 0.0)
        return inverse_gap_weights(self._predict_rewards(state, contexts), sharpness, available)


def inverse_gap_weights(rewards: Float64, sharpness: float, available: Bool | None) -> Float64:
    """Return (n, k) float64, `SquareCB`'s distributions for predicted rewards (n, k)."""
    allowed = np.ones(rewards.shape, np.bool_) if available is None else available
    best = np.where(allowed, rewards, -np.inf).max(axis=1, keepdims=True)
    top = (rewards == best) & allowed
    others = allowed & ~top
    gaps = np.where(others, best - rewards, 0.0)
    probabilities = np.where(others, 1.0 / (allowed.sum(axis=1, keepdims=True) + sharpness * gaps), 0.0)
    rest = (1.0 - probabilities.sum(axis=1, keepdims=True)) / top.sum(axis=1, keepdims=True)
    result: Float64 = np.where(top, rest, probabilities)
    return result
