"""Sub-Gaussian weights: importance weights that grow no further than 1 / lambda, smoothly."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64, within
from bandits.off_policy.problem import OffPolicyProblem

_MISSED = 0.05  # probability with which the deviation that the default balances may be exceeded


def check_smoothing(value: float | None) -> None:
    """Reject what is neither None nor a number in [0, 1]."""
    if value is not None:
        within(value, 0.0, 1.0, "smoothing")


def sub_gaussian_weights(problem: OffPolicyProblem, smoothing: float | None) -> Float64:
    """Return (n,) float64, w / (1 - lambda + lambda w).

    Args:
        problem: the question.
        smoothing: lambda; None takes sqrt(2 log(1 / 0.05) / (3 n d)), at most 1, with n the sum of the rows' weights
            and d the mean squared importance weight. There lambda d, a bound on the bias of rewards in [0, 1],
            equals the part of Bernstein's deviation that the largest weight, 1 / lambda, decides:
            2 log(1 / 0.05) / (3 n lambda).

    Source: Metelli, Russo and Restelli 2021, Subgaussian and Differentiable Importance Sampling for Off-Policy
        Evaluation and Learning (NeurIPS 2021), with s = -1.
    """
    w = problem.weights
    if smoothing is None:
        n, squared = problem.row_weights.sum(), problem.mean(np.square(np.minimum(w, 1e150)))
        smoothing = min(1.0, float(np.sqrt(2 * np.log(1 / _MISSED) / (3 * n * max(squared, 1.0)))))
    return np.divide(w, 1 - smoothing + smoothing * w, out=np.zeros_like(w), where=w > 0)
