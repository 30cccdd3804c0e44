"""The doubly robust estimator with a self-normalised correction."""

from __future__ import annotations

from dataclasses import dataclass, field

from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class SelfNormalisedDR(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a), plus sum(w (r - q(x, action))) / sum(w).

    With q = 0 it is SNIPS. Steadier than the doubly robust estimator when few rows carry much weight.

    Args:
        reward_model: q.

    Source: Thomas and Brunskill 2016, Data-Efficient Off-Policy Policy Evaluation, weighted doubly robust
        estimator (arXiv:1604.00923), for decisions of one step.
    """

    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        check_reward_model(self.reward_model)

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return weighted residuals over weights, with the predictions as offset."""
        predictions = problem.predictions(self.reward_model)
        residuals = problem.log.rewards - predictions[problem.taken]
        weights = problem.relative_weights
        return problem.terms(weights * residuals, weights, problem.expected(predictions))
