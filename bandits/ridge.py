"""Bayesian ridge regression, one posterior an arm: the numbers behind every linear policy.

For each arm, with rows x (D,), rewards r and weights w:

    precision P = P0 + sum w x x',   moment m = sum w r x,   coefficients = P^-1 m,   leverage(x) = x' P^-1 x.

Source: Bishop 2006, Pattern Recognition and Machine Learning, section 3.3.1 (with the noise variance taken
out). P and m are sums, so batches in any order give what one fit gives, and shards merge by adding.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from bandits.checks import Float64, Int64

# A row costs two passes over a triangle, a batch a rank-n product and a factorisation.
_ROWS_PER_FACTORISATION = 16
_CHUNK = 2048  # rows scored at once, so that temporaries stay near 6 MB at D = 385


class Ridge:
    """Posteriors over given arrays, which are changed in place; the inverse is kept beside them.

    Only one triangle of each matrix is kept up: the lower one in C order, which BLAS sees as the upper one.

    Args:
        precision: (k, D, D) float64.
        moment: (k, D) float64.
        refactor_every: rank-one updates of an arm after which its inverse is computed anew, against drift.
    """

    def __init__(self, precision: Float64, moment: Float64, refactor_every: int = 4096) -> None:
        self.precision = precision
        self.moment = moment
        self.refactor_every = refactor_every
        n_arms, size = moment.shape
        self._covariance = np.zeros((n_arms, size, size))
        self._coefficients = np.zeros((n_arms, size))
        self._age: Int64 = np.full(n_arms, -1, dtype=np.int64)  # rank-one updates since factorising; -1: stale

    @property
    def coefficients(self) -> Float64:
        """Return (k, D) float64, the posterior means."""
        self._refresh()
        return self._coefficients

    def add(self, arm: int, rows: Float64, rewards: Float64, weights: Float64 | None = None) -> None:
        """Learn rows of one arm: a few by rank-one updates, many by one product.

        Args:
            arm: index of the arm.
            rows: (n, D) float64, C order.
            rewards: (n,) float64.
            weights: (n,) float64 >= 0, or None for 1.
        """
        if len(rows) == 0:
            return
        if self._age[arm] >= 0 and len(rows) * _ROWS_PER_FACTORISATION <= rows.shape[1] + 1:
            for index, row in enumerate(rows):
                self._add_row(arm, row, float(rewards[index]), 1.0 if weights is None else float(weights[index]))
            return
        if weights is not None:
            rewards = rewards * weights
        self.moment[arm] += rows.T @ rewards
        self.add_gram(arm, gram(rows if weights is None else rows * np.sqrt(weights)[:, None]))

    def add_gram(self, arm: int, gram_matrix: Float64) -> None:
        """Add a finished sum of w x x' (one triangle, as `gram` gives it) to one arm's precision."""
        self.precision[arm] += gram_matrix
        self._age[arm] = -1

    def _add_row(self, arm: int, row: Float64, reward: float, weight: float) -> None:
        """Sherman-Morrison in place: P^-1 -= w z z' / (1 + w x'z), z = P^-1 x.

        Source: Sherman and Morrison 1950, equation for a rank-one change of an inverse.
        """
        blas.dsyr(weight, row, a=self.precision[arm].T, overwrite_a=1)
        self.moment[arm] += (weight * reward) * row
        covariance = self._covariance[arm].T
        direction = blas.dsymv(1.0, covariance, row)
        leverage = float(row @ direction)
        if leverage < 0 or self._age[arm] + 1 >= self.refactor_every:  # a negative variance is rounding gone too far
            self._age[arm] = -1
            return
        step = weight / (1.0 + weight * leverage)
        coefficients = self._coefficients[arm]
        coefficients += (step * (reward - float(row @ coefficients))) * direction
        blas.dsyr(-step, direction, a=covariance, overwrite_a=1)
        self._age[arm] += 1

    def mean_and_leverage(self, rows: Float64) -> tuple[Float64, Float64]:
        """Return predicted means and leverages x' P^-1 x, both (n, k) float64, for rows (n, D)."""
        self._refresh()
        means = rows @ self._coefficients.T
        leverages = np.empty(means.shape)
        if len(rows) == 1:
            for arm, covariance in enumerate(self._covariance):
                leverages[0, arm] = rows[0] @ blas.dsymv(1.0, covariance.T, rows[0])
        else:
            for start in range(0, len(rows), _CHUNK):
                self._leverages(rows[start : start + _CHUNK], leverages[start : start + _CHUNK])
        return means, np.maximum(leverages, 0.0, out=leverages)

    def _leverages(self, rows: Float64, out: Float64) -> None:
        """Fill `out` (n, k): x'Sx = 2 x'Ux - x' diag(S) x with U the kept triangle, half a full product."""
        squares = rows * rows
        for arm, covariance in enumerate(self._covariance):
            product = blas.dtrmm(1.0, covariance.T, rows.T, trans_a=1)  # (D, n), Fortran order: rows @ U
            out[:, arm] = 2.0 * np.einsum("nd,nd->n", product.T, rows) - squares @ np.diagonal(covariance)

    def _refresh(self) -> None:
        """Factorise the arms whose inverse is stale."""
        for arm in np.flatnonzero(self._age < 0).tolist():
            factor, info = lapack.dpotrf(self.precision[arm].T, lower=0, clean=0)
            if info == 0:
                inverse, info = lapack.dpotri(factor, lower=0)
            if info != 0 or not np.isfinite(np.diagonal(factor)).all():  # LAPACK lets an infinity through
                raise RuntimeError(
                    f"the precision of arm {arm} is not positive definite any more (LAPACK info {info}): "
                    "contexts or weights are too large; scale them, or raise prior_precision"
                )
            self._covariance[arm] = inverse.T
            self._coefficients[arm] = lapack.dpotrs(factor, self.moment[arm], lower=0)[0]
            self._age[arm] = 0


def gram(rows: Float64) -> Float64:
    """Return the sum of x x' over rows (n, D) in C order by one BLAS call: (D, D), lower triangle only."""
    result: Float64 = blas.dsyrk(1.0, rows.T, lower=0).T
    return result
