"""Bayesian ridge regression, one posterior an arm: the numbers behind every linear policy.

For each arm, with rows x (D,), rewards r and weights w:

    precision P = P0 + sum w x x',   moment m = sum w r x,   coefficients = P^-1 m,   leverage(x) = x' P^-1 x.

Source: Bishop 2006, Pattern Recognition and Machine Learning, section 3.3.1 (with the noise variance taken
out). P and m are sums, so batches in any order give what one fit gives, and shards merge by adding.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas, lapack

from bandits.checks import Float32, Float64, Int64

# A row costs two passes over a triangle, a batch a rank-n product and a factorisation.
_ROWS_PER_FACTORISATION = 16
_CHUNK = 2048  # rows scored at once, so that temporaries stay near 6 MB at D = 385
_WIDE = 128  # features from which reading a matrix costs more than a call
_CHECK_EVERY = 64  # rank-one updates of an arm between two checks for drift, which cost one product each
_DRIFT = 1e-7  # largest |P (P^-1 x) - x| / |x| that is left standing; rounding alone gives about 1e-14 cond(P)


class Ridge:
    """Posteriors over given arrays, which are changed in place; the inverse is kept beside them.

    Only one triangle of each matrix is kept up: the lower one in C order, which BLAS sees as the upper one.

    An inverse kept by rank-one updates gathers rounding errors. Every 64 updates of an arm P (P^-1 x) is
    compared with x, and the inverse is computed anew from P where they differ by more than 1e-7, where a
    variance comes out negative, or after `refactor_every` updates.

    Args:
        precision: (k, D, D) float64.
        moment: (k, D) float64.
        refactor_every: rank-one updates of an arm after which its inverse is computed anew in any case.

    Attributes:
        version: counts the changes, so that what is derived from the posteriors can be kept until the next.
    """

    def __init__(self, precision: Float64, moment: Float64, refactor_every: int = 4096) -> None:
        self.precision = precision
        self.moment = moment
        self.refactor_every = refactor_every
        self.version = 0
        n_arms, size = moment.shape
        self._diagonal: Float64 | None = None  # added to every precision
        self._covariance = np.zeros((n_arms, size, size))
        self._coefficients = np.zeros((n_arms, size))
        self._roots = np.zeros((n_arms, size, size), np.float32)  # U^-1 of P = U'U, as BLAS sees it
        self._age: Int64 = np.full(n_arms, -1, dtype=np.int64)  # rank-one updates since factorising; -1: stale
        self._stale = True  # whether any age is -1
        self._scored: Float64 | None = None  # the row scored last, and P^-1 x of each arm that has not changed since
        self._directions: dict[int, Float64] = {}

    def add_diagonal(self, diagonal: Float64) -> None:
        """Compute everything with `diagonal` (D,) added to every arm's precision, in place of the last one given."""
        self._diagonal = diagonal
        self._age[:], self._stale = -1, True
        self._directions = {}
        self.version += 1

    @property
    def coefficients(self) -> Float64:
        """Return (k, D) float64, the posterior means."""
        self._refresh()
        return self._coefficients

    @property
    def covariance(self) -> Float64:
        """Return (k, D, D) float64, the inverses of the precisions; lower triangles only."""
        self._refresh()
        return self._covariance

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
        if self.takes_rows(arm, len(rows)):
            for index, row in enumerate(rows):
                self.add_row(arm, row, float(rewards[index]), 1.0 if weights is None else float(weights[index]))
            return
        weighted = rewards if weights is None else rewards * weights
        self.add_sums(arm, gram(rows if weights is None else rows * np.sqrt(weights)[:, None]), rows.T @ weighted)

    def takes_rows(self, arm: int, n_rows: int) -> bool:
        """Return whether so few rows are learned faster one by one."""
        return bool(self._age[arm] >= 0) and n_rows * _ROWS_PER_FACTORISATION <= self.moment.shape[1]

    def add_sums(self, arm: int, gram_matrix: Float64, moment: Float64) -> None:
        """Add finished sums of w x x' (one triangle, as `gram` gives it) and of w r x to one arm."""
        self.precision[arm] += gram_matrix
        self.moment[arm] += moment
        self._age[arm] = -1
        self._changed(arm)
        self._stale = True

    def add_row(self, arm: int, row: Float64, reward: float, weight: float = 1.0) -> None:
        """Sherman-Morrison in place: P^-1 -= w z z' / (1 + w x'z), z = P^-1 x; needs a fresh inverse.

        Source: Sherman and Morrison 1950, equation for a rank-one change of an inverse.
        """
        if self._age[arm] < 0:
            self._refresh()
        covariance = self._covariance[arm].T
        direction = self._direction(arm, row)
        age = int(self._age[arm]) + 1
        if age % _CHECK_EVERY == 0 and self._drift(arm, row, direction) > _DRIFT:
            age = self.refactor_every
        blas.dsyr(weight, row, a=self.precision[arm].T, overwrite_a=1)
        self.moment[arm] += (weight * reward) * row
        self._changed(arm)
        leverage = float(row.dot(direction))
        if leverage < 0 or age >= self.refactor_every:  # a negative variance is rounding gone too far
            self._age[arm] = -1
            self._stale = True
            return
        step = weight / (1.0 + weight * leverage)
        coefficients = self._coefficients[arm]
        coefficients += (step * (reward - float(row.dot(coefficients)))) * direction
        blas.dsyr(-step, direction, a=covariance, overwrite_a=1)
        self._age[arm] = age

    def score(self, row: Float64) -> tuple[Float64, Float64]:
        """Return predicted means and leverages of one row (D,), both (1, k) float64.

        Wide arms that no row was added to since they were factorised are scored as by `fast_leverages`, which reads
        half as much memory.
        """
        self._refresh()
        self._scored, self._directions = row, {}
        leverages = np.empty((1, len(self.moment)))
        short = row.astype(np.float32) if len(row) >= _WIDE else None
        for arm, covariance in enumerate(self._covariance):
            if short is not None and self._age[arm] == 0:
                product = blas.strmv(self._roots[arm].T, short, trans=1)
                leverages[0, arm] = product.dot(product)
                if math.isfinite(leverages[0, arm]):
                    continue
            direction = self._directions[arm] = blas.dsymv(1.0, covariance.T, row)
            leverages[0, arm] = max(row.dot(direction), 0.0)
        return self._coefficients.dot(row)[None], leverages

    def mean_and_leverage(self, rows: Float64) -> tuple[Float64, Float64]:
        """Return predicted means and leverages x' P^-1 x, both (n, k) float64, for rows (n, D)."""
        self._refresh()
        means = rows @ self._coefficients.T
        leverages = np.empty(means.shape)
        for start in range(0, len(rows), _CHUNK):
            self._leverages(rows[start : start + _CHUNK], leverages[start : start + _CHUNK])
        return means, np.maximum(leverages, 0.0, out=leverages)

    def fast_leverages(self, rows: Float32) -> Float64:
        """Return leverages (n, k) float64 by float32 products: |(U^-1)' x|^2 with P = U'U, half a full product.

        A sum of squares cannot cancel, so the relative error is about 1e-7 sqrt(cond P), where x' P^-1 x in
        float32 would lose 1e-7 cond P. Rows beyond float32's range are computed by `mean_and_leverage`.
        """
        for arm in np.flatnonzero(self._age > 0).tolist():
            self._age[arm], self._stale = -1, True  # the root is not kept up by rank-one updates
        self._refresh()
        leverages = np.empty((len(rows), len(self.moment)))
        for arm, root in enumerate(self._roots):
            product = blas.strmm(1.0, root.T, rows.T, trans_a=1).T
            leverages[:, arm] = np.einsum("nd,nd->n", product, product)
        if not np.isfinite(leverages.sum()):
            return self.mean_and_leverage(rows.astype(np.float64))[1]
        return leverages

    def _leverages(self, rows: Float64, out: Float64) -> None:
        """Fill `out` (n, k): x'Sx = 2 x'Ux - x' diag(S) x with U the kept triangle, half a full product."""
        squares = rows * rows
        for arm, covariance in enumerate(self._covariance):
            product = blas.dtrmm(1.0, covariance.T, rows.T, trans_a=1)  # (D, n), Fortran order: rows @ U
            out[:, arm] = 2.0 * np.einsum("nd,nd->n", product.T, rows) - squares @ np.diagonal(covariance)

    def _direction(self, arm: int, row: Float64) -> Float64:
        """Return P^-1 x, from the last `score` if it was of this row."""
        known = self._directions.get(arm)
        if known is not None and self._scored is not None and self._scored.tobytes() == row.tobytes():
            return known
        fresh: Float64 = blas.dsymv(1.0, self._covariance[arm].T, row)
        return fresh

    def _changed(self, arm: int) -> None:
        self.version += 1
        self._directions.pop(arm, None)

    def _drift(self, arm: int, row: Float64, direction: Float64) -> float:
        """Return |P (P^-1 x) - x| / |x|, which is 0 for an exact inverse."""
        error = blas.dsymv(1.0, self.precision[arm].T, direction) - row
        if self._diagonal is not None:
            error += self._diagonal * direction
        return float(np.sqrt(error.dot(error) / max(row.dot(row), np.finfo(np.float64).tiny)))

    def _refresh(self) -> None:
        """Factorise the arms whose inverse is stale."""
        if not self._stale:
            return
        for arm in np.flatnonzero(self._age < 0).tolist():
            precision = self.precision[arm]
            if self._diagonal is not None:
                precision = precision + np.diag(self._diagonal)
            factor, info = lapack.dpotrf(precision.T, lower=0, clean=1)
            if info == 0:
                root, info = lapack.dtrtri(factor, lower=0)
            if info != 0 or not np.isfinite(np.diagonal(factor)).all():  # LAPACK lets an infinity through
                raise RuntimeError(
                    f"the precision of arm {arm} is not positive definite any more (LAPACK info {info}): "
                    "contexts or weights are too large; scale them, or raise prior_precision"
                )
            self._roots[arm] = root.T
            self._covariance[arm] = lapack.dlauum(root, lower=0, overwrite_c=1)[0].T
            self._coefficients[arm] = lapack.dpotrs(factor, self.moment[arm], lower=0)[0]
            self._age[arm] = 0
            self._directions.pop(arm, None)
        self._stale = False


def gram(rows: Float64) -> Float64:
    """Return the sum of x x' over rows (n, D) in C order by one BLAS call: (D, D), lower triangle only."""
    result: Float64 = blas.dsyrk(1.0, rows.T, lower=0).T
    return result
