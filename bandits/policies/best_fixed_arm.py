"""The arm with the best mean reward, whatever the context."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64
from bandits.data.full_information_data import FullInformationData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.policy import Data, PolicyState, greedy


class BestFixedArm(AdditivePolicy):
    """Chooses the available arm whose mean reward in the data was highest; ties share equally.

    On full information the mean is over the rows where the arm was observed. On bandit feedback it is the
    self-normalised estimate sum(r / propensity) / sum(1 / propensity) over the arm's rows, because a logging
    policy that looks at the context shows each arm on the queries it likes. An arm without data is never
    chosen while another has some; without any data all arms are equal.

    Source: Swaminathan and Joachims 2015, The Self-Normalized Estimator for Counterfactual Learning, eq. 8.
    """

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"rewards": np.zeros(k), "weights": np.zeros(k)})

    def update(self, data: Data) -> None:
        """Add the rows' rewards to their arms' sums."""
        aligned = self.align(data)
        sums = self.learned.per_arm
        if isinstance(aligned, FullInformationData):
            sums["rewards"] += np.where(aligned.observed_mask, aligned.rewards, 0.0).sum(axis=0)
            sums["weights"] += aligned.observed_mask.sum(axis=0)
            return
        weights = (1.0 if aligned.weights is None else aligned.weights) / aligned.propensities
        k = len(self.arm_names)
        sums["rewards"] += np.bincount(aligned.actions, weights * aligned.rewards, k)
        sums["weights"] += np.bincount(aligned.actions, weights, k)

    def mean_rewards(self) -> Float64:
        """Return each arm's mean reward, (k,) float64; -inf for an arm without data."""
        sums = self.learned.per_arm
        seen = sums["weights"] > 0
        means: Float64 = np.divide(sums["rewards"], sums["weights"], out=np.full(len(seen), -np.inf), where=seen)
        return means

    def predict_rewards(self, contexts: ArrayLike) -> Float64:
        """Return `mean_rewards` for each row, (n, k) float64."""
        rows, _ = self.check(contexts, None)
        return np.tile(self.mean_rewards(), (len(rows), 1))

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return probability 1 for the best available arm (shared equally by ties)."""
        rows, mask = self.check(contexts, available)
        means = self.mean_rewards()
        return greedy(np.broadcast_to(means, (len(rows), len(means))), mask)
