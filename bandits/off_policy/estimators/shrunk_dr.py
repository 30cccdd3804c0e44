"""DRos: the doubly robust estimator with optimistically shrunk weights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bandits.checks import scale
from bandits.off_policy.estimators.changed_weights import model_and_residuals, without_interval
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class ShrunkDR(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a) + lambda w / (w^2 + lambda) (r - q(x, action)), known as DRos.

    Between the direct method (lambda near 0) and the doubly robust estimator (lambda large). The weight that it uses
    is at most sqrt(lambda) / 2, and small again where w is beyond sqrt(lambda). It has no interval.

    Args:
        shrinkage: lambda > 0; `Slope` chooses it by the log.
        reward_model: q.

    Source: Su, Dimakopoulou, Krishnamurthy and Dudik 2020, Doubly Robust Off-Policy Evaluation with Shrinkage
        (arXiv:1907.09623), optimistic shrinkage.
    """

    shrinkage: float = 100.0
    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        scale(self.shrinkage, "shrinkage")
        check_reward_model(self.reward_model)

    @property
    def name(self) -> str:
        """Return the name with lambda."""
        return f"ShrunkDR({self.shrinkage:g})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return residuals of shrunk weights, with the predictions as offset."""
        w = problem.weights
        # w / (1 + w^2 / lambda), whose square stays in float64
        weights = w / (1 + np.square(np.minimum(w / np.sqrt(self.shrinkage), 1e150)))
        terms = model_and_residuals(problem, problem.predictions(self.reward_model), weights)
        return without_interval(terms, problem, weights, modelled=True)
