"""The arm with the best mean reward, whatever the context."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float32, Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class BestFixedArm(AdditivePolicy, PredictsRewards):
    """Chooses the available arm whose mean reward in the data was highest; ties share equally.

    On full information, and on rows without propensities, the mean is over the rows where the arm was observed. On
    bandit feedback it is the self-normalised estimate sum(r / propensity) / sum(1 / propensity) over the arm's rows,
    because a logging policy that looks at the context shows each arm on the queries it likes. An arm without data is
    never chosen while another has some; without any data all arms are equal.

    Source: Swaminathan and Joachims 2015, The Self-Normalized Estimator for Counterfactual Learning, eq. 8.
    """

    counted_in = "weights"

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"rewards": np.zeros(k), "weights": np.zeros(k)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Add the rows' rewards to their arms' sums."""
        feedback = data.feedback()
        factors = None
        if feedback.propensities is not None:
            factors = (1.0 if feedback.weights is None else feedback.weights) / feedback.propensities
        rewards, weights = feedback.arm_sums(factors)
        old = state.per_arm
        return state.updated({"rewards": old["rewards"] + rewards, "weights": old["weights"] + weights})

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative weights."""
        check_not_negative(arrays, "per_arm.weights")

    def mean_rewards(self) -> Float64:
        """Return each arm's mean reward, (k,) float64; -inf for an arm without data."""
        return _means(self.learned)

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return the arms' mean rewards for each row."""
        means = _means(state)
        return np.broadcast_to(means, (len(contexts), len(means)))


def _means(state: PolicyState) -> Float64:
    rewards, weights = state.per_arm["rewards"], state.per_arm["weights"]
    seen = weights > 0
    means: Float64 = np.divide(rewards, weights, out=np.full(len(seen), -np.inf), where=seen)
    return means
