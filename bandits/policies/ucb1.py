"""UCB1: the upper confidence bound of each arm's mean reward, whatever the context."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, not_negative
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.distributions import greedy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class UCB1(AdditivePolicy, PredictsRewards):
    """Chooses the arm whose mean reward could plausibly be highest; an arm never tried comes first.

    score(a) = mean reward of a + ucb_width * sqrt(2 ln n / n_a), n = sum of n_a; ties share equally.

    Made for its own decisions: means are plain ones, so on the log of a policy that looks at the context they
    tell how each arm did on the queries it was given. Row weights count as rows.

    Args:
        ucb_width: >= 0. 1 is the paper's, for rewards in [0, 1]; multiply it by the range of yours.
        arm_names: see `Policy`.

    Source: Auer, Cesa-Bianchi and Fischer 2002, Finite-time Analysis of the Multiarmed Bandit Problem, Fig. 1.
    """

    counted_in = "counts"

    def __init__(self, ucb_width: float = 1.0, *, arm_names: Sequence[str] | None = None) -> None:
        super().__init__(arm_names)
        self.ucb_width = not_negative(ucb_width, "ucb_width")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"rewards": np.zeros(k), "counts": np.zeros(k)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Add the rows' rewards and counts to their arms' sums."""
        rewards, counts = data.feedback().arm_sums()
        old = state.per_arm
        return state.updated({"rewards": old["rewards"] + rewards, "counts": old["counts"] + counts})

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative counts."""
        check_not_negative(arrays, "per_arm.counts")

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's mean reward for each row; -inf for an arm never tried."""
        rewards, counts = state.per_arm["rewards"], state.per_arm["counts"]
        tried = counts > 0
        means = np.divide(rewards, counts, out=np.full(len(tried), -np.inf), where=tried)
        return np.broadcast_to(means, (len(contexts), len(means)))

    def bounds(self) -> Float64:
        """Return each arm's upper bound, (k,) float64; infinity for an arm never tried."""
        return self._bounds(self.learned)

    def _bounds(self, state: PolicyState) -> Float64:
        rewards, counts = state.per_arm["rewards"], state.per_arm["counts"]
        tried = counts > 0
        log_total = np.log(max(counts.sum(), 1.0))
        bounds = np.full(len(counts), np.inf)
        known = counts[tried]
        bounds[tried] = rewards[tried] / known + self.ucb_width * np.sqrt(2.0 * log_total / known)
        return bounds

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return probability 1 for the best bound (shared equally by ties)."""
        bounds = self._bounds(state)
        return greedy(np.broadcast_to(bounds, (len(contexts), len(bounds))), available)
