"""UCB1: the upper confidence bound of each arm's mean reward, whatever the context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64
from bandits.data.full_information_data import FullInformationData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.policy import Data, PolicyState, greedy


class UCB1(AdditivePolicy):
    """Chooses the arm whose mean reward could plausibly be highest; an arm never tried comes first.

    score(a) = mean reward of a + ucb_width * sqrt(2 ln n / n_a), n = sum of n_a; ties share equally.

    Made for its own decisions: means are plain ones, so on the log of a policy that looks at the context they
    tell how each arm did on the queries it was given. Row weights count as rows.

    Args:
        ucb_width: >= 0. 1 is the paper's, for rewards in [0, 1]; multiply it by the range of yours.
        arm_names: see `Policy`.

    Source: Auer, Cesa-Bianchi and Fischer 2002, Finite-time Analysis of the Multiarmed Bandit Problem, Fig. 1.
    """

    def __init__(self, ucb_width: float = 1.0, arm_names: Sequence[str] | None = None) -> None:
        super().__init__(arm_names)
        if not (isinstance(ucb_width, int | float) and np.isfinite(ucb_width) and ucb_width >= 0):
            raise ValueError(f"ucb_width must be a finite number >= 0, got {ucb_width!r}")
        self.ucb_width = ucb_width

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"rewards": np.zeros(k), "counts": np.zeros(k)})

    def update(self, data: Data) -> None:
        """Add the rows' rewards and counts to their arms' sums."""
        aligned = self.align(data)
        sums, k = self.learned.per_arm, len(self.arm_names)
        if isinstance(aligned, FullInformationData):
            sums["rewards"] += np.where(aligned.observed_mask, aligned.rewards, 0.0).sum(axis=0)
            sums["counts"] += aligned.observed_mask.sum(axis=0)
            return
        weights = np.ones(len(aligned)) if aligned.weights is None else aligned.weights
        sums["rewards"] += np.bincount(aligned.actions, weights * aligned.rewards, k)
        sums["counts"] += np.bincount(aligned.actions, weights, k)

    def predict_rewards(self, contexts: ArrayLike) -> Float64:
        """Return each arm's mean reward for each row, (n, k) float64; -inf for an arm never tried."""
        rows, _ = self.check(contexts, None)
        sums = self.learned.per_arm
        tried = sums["counts"] > 0
        means = np.divide(sums["rewards"], sums["counts"], out=np.full(len(tried), -np.inf), where=tried)
        return np.tile(means, (len(rows), 1))

    def bounds(self) -> Float64:
        """Return each arm's upper bound, (k,) float64; infinity for an arm never tried."""
        sums = self.learned.per_arm
        counts = sums["counts"]
        tried = counts > 0
        log_total = np.log(max(counts.sum(), 1.0))
        bounds = np.full(len(counts), np.inf)
        known = counts[tried]
        bounds[tried] = sums["rewards"][tried] / known + self.ucb_width * np.sqrt(2.0 * log_total / known)
        return bounds

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return probability 1 for the best bound (shared equally by ties)."""
        rows, mask = self.check(contexts, available)
        bounds = self.bounds()
        return greedy(np.broadcast_to(bounds, (len(rows), len(bounds))), mask)
