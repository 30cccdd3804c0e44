"""The doubly robust estimator with sub-Gaussian weights."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from bandits.off_policy.estimators.changed_weights import model_and_residuals, without_interval
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.sub_gaussian import check_smoothing, sub_gaussian_weights
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.reward_model import CrossFittedRidge, RewardModel, check_reward_model
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class SubGaussianDR(OffPolicyEstimator):
    """Mean of sum_a pi_e(a given x) q(x, a) + w / (1 - lambda + lambda w) (r - q(x, action)).

    The doubly robust estimator with lambda 0. It has no interval, as `SubGaussianIPS` has none.

    Args:
        smoothing: lambda in [0, 1]; None takes one that falls with the root of the rows, see `sub_gaussian_weights`.
        reward_model: q.

    Source: Metelli, Russo and Restelli 2021, Subgaussian and Differentiable Importance Sampling for Off-Policy
        Evaluation and Learning (NeurIPS 2021), with s = -1; here of residuals rather than rewards.
    """

    by_batch: ClassVar[bool] = False

    smoothing: float | None = None
    reward_model: RewardModel = field(default_factory=CrossFittedRidge)

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)
        check_reward_model(self.reward_model)

    @property
    def name(self) -> str:
        """Return the name, with lambda where it was given."""
        return "SubGaussianDR" if self.smoothing is None else f"SubGaussianDR({self.smoothing:g})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return residuals of smoothed weights, with the predictions as offset."""
        weights = sub_gaussian_weights(problem, self.smoothing)
        terms = model_and_residuals(problem, problem.predictions(self.reward_model), weights)
        return without_interval(terms, problem, weights, modelled=True)
