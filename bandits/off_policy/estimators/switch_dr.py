"""Switch-DR: doubly robust where weights are small, the reward model alone where they are large."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from bandits.off_policy.estimators.changed_weights import model_and_residuals, without_interval
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem, check_max_weight
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class SwitchDR(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a) + 1{w <= max_weight} w (r - q(x, action)).

    With q right its noise is that of rows of small weight; with q wrong, rows of large weight keep q's bias. It has an
    interval only where the problem's own `max_weight` says that no weight is too large.

    Args:
        max_weight: largest weight that a residual is corrected by, >= 1.
        reward_model: q.

    Source: Wang, Agarwal and Dudik 2017, Optimal and Adaptive Off-policy Evaluation (arXiv:1612.01205) with
        the doubly robust estimator on small weights.
    """

    max_weight: float = 10.0
    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        check_max_weight(self.max_weight)
        check_reward_model(self.reward_model)

    @property
    def name(self) -> str:
        """Return the name with the bound."""
        return f"SwitchDR({self.max_weight:g})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return residuals of small weights, with the predictions as offset."""
        weights = np.where(problem.weights <= self.max_weight, problem.weights, 0.0)
        terms = model_and_residuals(problem, problem.predictions(self.reward_model), weights)
        never = problem.max_weight is not None and problem.max_weight <= self.max_weight
        return terms if never else without_interval(terms, problem, weights, modelled=True)
