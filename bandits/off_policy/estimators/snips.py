"""Self-normalised inverse propensity scoring."""

from __future__ import annotations

from dataclasses import dataclass

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class SNIPS(OffPolicyEstimator):
    """sum(w r) / sum(w): a weighted mean of rewards, which never leaves their range.

    Consistent; its bias vanishes with 1 / n. Adding a constant to all rewards adds it to the estimate, so it is
    often far less noisy than IPS. It is a ratio: intervals must treat both sums as random.

    Source: Swaminathan and Joachims 2015, The Self-Normalized Estimator for Counterfactual Learning, eq. 8.
    """

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return w r over w."""
        weights = problem.relative_weights
        return problem.terms(weights * problem.log.rewards, weights)
