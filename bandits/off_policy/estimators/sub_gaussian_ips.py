"""Inverse propensity scoring with sub-Gaussian weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bandits.off_policy.estimators.changed_weights import without_interval
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.estimators.sub_gaussian import check_smoothing, sub_gaussian_weights
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms


@dataclass(frozen=True)
class SubGaussianIPS(OffPolicyEstimator):
    """Mean of w / (1 - lambda + lambda w) r: the weighted mean between IPS (lambda 0) and the plain mean (lambda 1).

    Errors beyond a few standard deviations are as rare as a normal variable's, which those of IPS are not. Weights
    below 1 grow and those above shrink; the bias this leaves is of the size of the noise, so it has no interval.

    Args:
        smoothing: lambda in [0, 1]; None takes one that falls with the root of the rows, see `sub_gaussian_weights`.

    Source: Metelli, Russo and Restelli 2021, Subgaussian and Differentiable Importance Sampling for Off-Policy
        Evaluation and Learning (NeurIPS 2021), with s = -1.
    """

    by_batch: ClassVar[bool] = False

    smoothing: float | None = None

    def __post_init__(self) -> None:
        check_smoothing(self.smoothing)

    @property
    def name(self) -> str:
        """Return the name, with lambda where it was given."""
        return "SubGaussianIPS" if self.smoothing is None else f"SubGaussianIPS({self.smoothing:g})"

    def terms(self, problem: OffPolicyProblem) -> Terms:
        """Return smoothed weights times rewards."""
        weights = sub_gaussian_weights(problem, self.smoothing)
        terms = problem.terms(weights * problem.log.rewards, weights=weights)
        return without_interval(terms, problem, weights, modelled=False)
