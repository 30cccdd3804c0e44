"""One arm's ridge regression, solved: the inverse of its precision and the coefficients."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas, lapack

from bandits.checks import Float32, Float64
from bandits.policies.linear.arm_sums import ArmSums

_CHECK_EVERY = 64  # rank-one updates of an arm between two checks for drift, which cost two products each
_REFACTOR_EVERY = 4096  # rank-one updates after which an inverse is computed anew in any case
_DRIFT = 1e-7  # largest |P (P^-1 x) - x| / |x| that is left standing; rounding alone gives about 1e-14 cond(P)


class ArmPosterior:
    """P^-1 and P^-1 m of one arm; never changed, a row more makes another one.

    An inverse kept by rank-one updates gathers rounding errors. Every 64 updates P (P^-1 x) is compared with x, and the
    inverse is given up, to be computed anew, where they differ by more than 1e-7, where a variance comes out negative,
    or after 4096 updates.

    Attributes:
        covariance: (D, D) float64, P^-1; lower triangle only.
        coefficients: (D,) float64, the posterior mean.
        root: (D, D) float32, U^-1 of P = U'U as BLAS sees it; None once a row was added since it was factorised.
        age: rows added since it was factorised.
    """

    __slots__ = ("age", "coefficients", "covariance", "root")

    def __init__(self, covariance: Float64, coefficients: Float64, root: Float32 | None, age: int = 0) -> None:
        self.covariance, self.coefficients, self.root, self.age = covariance, coefficients, root, age

    @classmethod
    def of(cls, sums: ArmSums, added: float, arm: int) -> ArmPosterior:
        """Factorise P = the sums' precision plus `added` on the diagonal, its last entry (the intercept's) excepted.

        Raises:
            RuntimeError: naming the arm, if P is not positive definite.
        """
        precision = sums.precision
        if added:
            precision = precision.copy()
            inner = np.arange(len(precision) - 1)
            precision[inner, inner] += added
        factor, info = lapack.dpotrf(precision.T, lower=0, clean=1)
        if info == 0:
            root, info = lapack.dtrtri(factor, lower=0)
        if info != 0 or not np.isfinite(np.diagonal(factor)).all():  # LAPACK lets an infinity through
            raise RuntimeError(
                f"the precision of arm {arm} is not positive definite any more (LAPACK info {info}): "
                "contexts or weights are too large; scale them, or raise prior_precision"
            )
        short = np.ascontiguousarray(root.T, dtype=np.float32)
        coefficients = lapack.dpotrs(factor, sums.moment, lower=0)[0]
        return cls(np.ascontiguousarray(lapack.dlauum(root, lower=0, overwrite_c=1)[0].T), coefficients, short)

    def product(self, row: Float64) -> Float64:
        """Return P^-1 x, (D,) float64."""
        product: Float64 = blas.dsymv(1.0, self.covariance.T, row)
        return product

    def fast_leverage(self, row: Float32) -> float | None:
        """Return x' P^-1 x of one row, reading half as much memory; None where the root is not known or overflows."""
        if self.root is None:
            return None
        product = blas.strmv(self.root.T, row, trans=1)
        leverage = float(product.dot(product))
        return leverage if math.isfinite(leverage) else None

    def leverages(self, rows: Float64) -> Float64:
        """Return x'Sx = 2 x'Ux - x' diag(S) x of rows (n, D), U the kept triangle: half a full product."""
        product = blas.dtrmm(1.0, self.covariance.T, rows.T, trans_a=1)  # (D, n), Fortran order: rows @ U
        result: Float64 = 2.0 * np.einsum("nd,nd->n", product.T, rows) - (rows * rows) @ np.diagonal(self.covariance)
        return np.maximum(result, 0.0, out=result)

    def with_row(
        self, row: Float64, direction: Float64, reward: float, weight: float, sums: ArmSums, added: float
    ) -> ArmPosterior | None:
        """Return the posterior with one row more, or None where it is to be computed anew.

        Sherman-Morrison: P^-1 -= w z z' / (1 + w x'z), z = P^-1 x.

        Args:
            row: (D,) float64.
            direction: its `product`, z.
            reward: of the row.
            weight: of the row.
            sums: those that this posterior belongs to, without the row.
            added: on the diagonal of the precision, see `of`.

        Source: Sherman and Morrison 1950, equation for a rank-one change of an inverse.
        """
        age = self.age + 1
        leverage = float(row.dot(direction))
        if leverage < 0 or age >= _REFACTOR_EVERY:  # a negative variance is rounding gone too far
            return None
        if age % _CHECK_EVERY == 0 and _drift(row, direction, sums, added) > _DRIFT:
            return None
        step = weight / (1.0 + weight * leverage)
        coefficients = self.coefficients + (step * (reward - float(row.dot(self.coefficients)))) * direction
        return ArmPosterior(blas.dsyr(-step, direction, a=self.covariance.T).T, coefficients, None, age)


def _drift(row: Float64, direction: Float64, sums: ArmSums, added: float) -> float:
    """Return |P (P^-1 x) - x| / |x|, which is 0 for an exact inverse."""
    error = sums.times(direction) - row
    if added:
        error[:-1] += added * direction[:-1]
    return float(np.sqrt(error.dot(error) / max(row.dot(row), np.finfo(np.float64).tiny)))
