"""Inverse propensity scoring."""

from __future__ import annotations

from dataclasses import dataclass

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class IPS(OffPolicyEstimator):
    """Mean of w r with w = pi_e(a given x) / propensity: unbiased where the logging policy tries every action.

    Its noise grows with the weights. Terms are bounded where the problem states `reward_range` and `max_weight`.

    Source: Horvitz and Thompson 1952; for policies Strehl et al. 2010 (arXiv:1003.0120).
    """

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return w r."""
        weights = problem.weights
        bounds = problem.weighted_range(problem.max_weight)
        return problem.terms(weights * problem.log.rewards, weights=weights, range=bounds)
