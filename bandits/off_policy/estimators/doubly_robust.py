"""The doubly robust estimator: a reward model, corrected by weighted residuals."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from bandits.checks import Float64
from bandits.off_policy.estimators.changed_weights import model_and_residuals
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model
from bandits.off_policy.terms import Range, Terms


@dataclass(frozen=True)
class DoublyRobust(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a) + w (r - q(x, action)).

    Unbiased as IPS is when the propensities are right, whatever the model; the better the model, the less noise.

    Args:
        reward_model: q.

    Source: Dudik, Langford and Li 2011, Doubly Robust Policy Evaluation and Learning, section 2.2 (arXiv:1103.4601).
    """

    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        check_reward_model(self.reward_model)

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return weighted residuals, with the predictions as offset."""
        terms = model_and_residuals(problem, self._predictions(problem), problem.weights)
        return replace(terms, range=self._range(problem))

    def _predictions(self, problem: OffPolicyProblem) -> Float64:
        return problem.predictions(self.reward_model)

    def _range(self, problem: OffPolicyProblem) -> Range:
        predicted = self.reward_model.range
        if isinstance(predicted, str):
            return predicted
        low, high = predicted
        residual = problem.weighted_range(problem.max_weight, low, high)
        return residual if isinstance(residual, str) else (low + residual[0], high + residual[1])
