"""The Laplace approximation of a logistic regression's posterior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy import linalg
from scipy.special import expit

from bandits.checks import Float64

_MOST_STEPS = 100
_CONVERGED = 1e-18  # squared Newton decrement: the step is 1e-9 posterior deviations long
_SUFFICIENT = 1e-4  # of the gain that the gradient promises, below which a step is halved


@dataclass(frozen=True, eq=False)
class Laplace:
    """A normal distribution of coefficients: its mean is the posterior's mode, its precision the Hessian there.

    With rewards r, weights w, rows x, prior precisions L and p = 1 / (1 + exp(-x . c)), c minimises

        -sum w (r log p + (1 - r) log(1 - p)) + c' diag(L) c / 2,   Hessian H = sum w p (1 - p) x x' + diag(L).

    Attributes:
        coefficients: (D,) float64.
        root: (D, D) float64, R with H^-1 = R R'.

    Source: Bishop 2006, Pattern Recognition and Machine Learning, sections 4.3.3 and 4.5.1.
    """

    coefficients: Float64
    root: Float64

    @classmethod
    def of(cls, rows: Float64, rewards: Float64, weights: Float64, prior: Float64) -> Self:
        """Find the mode by Newton's method, each step halved until it gains.

        Args:
            rows: (n, D) float64; n may be 0.
            rewards: (n,) float64, 0 or 1.
            weights: (n,) float64.
            prior: (D,) float64 > 0, the prior precision of each coefficient.

        Raises:
            ValueError: if rows or weights are too large for float64.
        """

        def objective(coefficients: Float64) -> float:
            scores = rows @ coefficients
            fit = weights @ (rewards * scores - np.logaddexp(0.0, scores))
            return float(fit - prior @ (coefficients * coefficients) / 2)

        coefficients, value = np.zeros(len(prior)), objective(np.zeros(len(prior)))
        for _ in range(_MOST_STEPS):
            likely = expit(rows @ coefficients)
            factor = _factor(rows, weights * likely * (1.0 - likely), prior)
            gradient = rows.T @ (weights * (rewards - likely)) - prior * coefficients
            step = linalg.cho_solve((factor, True), gradient, check_finite=False)
            decrement = float(gradient @ step)
            if not decrement > _CONVERGED:
                break
            share, gained = 1.0, objective(coefficients + step)
            while not gained >= value + _SUFFICIENT * share * decrement and share > 1e-12:
                share /= 2
                gained = objective(coefficients + share * step)
            if share <= 1e-12:  # rounding: no step gains any more
                break
            coefficients, value = coefficients + share * step, gained
        likely = expit(rows @ coefficients)
        factor = _factor(rows, weights * likely * (1.0 - likely), prior)
        identity = np.eye(len(prior))
        return cls(coefficients, linalg.solve_triangular(factor, identity, lower=True, check_finite=False).T)


def _factor(rows: Float64, weights: Float64, prior: Float64) -> Float64:
    """Return the lower Cholesky factor of sum w x x' + diag(prior)."""
    with np.errstate(over="ignore", invalid="ignore"):
        hessian = (rows * weights[:, None]).T @ rows
    hessian[np.diag_indices_from(hessian)] += prior
    try:
        return np.asarray(linalg.cholesky(hessian, lower=True))
    except (linalg.LinAlgError, ValueError) as error:
        raise ValueError("contexts or weights are too large for a logistic regression: scale them") from error
