"""One arm's ridge regression, solved: the inverse of its precision and the coefficients."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas, lapack

from bandits.checks import Float32, Float64
from bandits.policies.linear.arm_sums import WIDE, ArmSums, with_gram
from bandits.policies.linear.pending_rows import PendingRows

_CHECK_EVERY = 64  # rank-one updates of an arm between two checks for drift, which cost two products each
_PENDING_ROWS = 16  # changes of a wide inverse that wait until they are made in one product
_REFACTOR_EVERY = 4096  # rank-one updates after which an inverse is computed anew in any case
_LEAST_SHARE = 1e-2  # of a leverage that pending rows may leave of it before float32 is too coarse
_DRIFT = 1e-7  # largest |P (P^-1 x) - x| / |x| that is left standing; rounding alone gives about 1e-14 cond(P)


class ArmPosterior:
    """P^-1 and P^-1 m of one arm; never changed, a row more makes another one.

    An inverse kept by rank-one updates gathers rounding errors. Every 64 updates P (P^-1 x) is compared with x, and the
    inverse is given up, to be computed anew, where they differ by more than 1e-7, where a variance comes out negative,
    or after 4096 updates. The changes to a wide inverse wait beside it, so that a row more copies no matrix:

        P^-1 = base - sum over waiting rows of y y'.

    Attributes:
        coefficients: (D,) float64, the posterior mean.
        root: (D, D) float32, U^-1 of base^-1 = U'U as BLAS sees it; None once the base was changed.
        age: rows added since it was factorised.
    """

    __slots__ = ("_base", "_pending", "age", "coefficients", "root")

    def __init__(
        self,
        base: Float64,
        coefficients: Float64,
        root: Float32 | None,
        age: int = 0,
        pending: PendingRows | None = None,
    ) -> None:
        self._base, self.coefficients, self.root, self.age, self._pending = base, coefficients, root, age, pending

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

    @property
    def covariance(self) -> Float64:
        """Return P^-1, (D, D) float64, lower triangle only."""
        return self._base if self._pending is None else with_gram(self._base, self._pending.rows, -1.0)

    @property
    def last_column(self) -> Float64:
        """Return the last column of P^-1, (D,) float64: the intercept's."""
        column: Float64 = self._base[-1]
        return column if self._pending is None else column - self._pending.rows[:, -1] @ self._pending.rows

    def with_moment(self, moment: Float64) -> ArmPosterior:
        """Return the posterior of an arm that was seen on the same rows, with another moment."""
        same = ArmPosterior(self._base, moment, self.root, self.age, self._pending)
        same.coefficients = self.product(moment)
        return same

    def is_alike(self, other: ArmPosterior) -> bool:
        """Return whether the two are known to have one covariance."""
        return self._base is other._base and self._pending is other._pending

    def product(self, row: Float64) -> Float64:
        """Return P^-1 x, (D,) float64."""
        product: Float64 = blas.dsymv(1.0, self._base.T, row)
        return self.product_from(product, row)

    def product_from(self, product: Float64, row: Float64) -> Float64:
        """Return P^-1 x of base x, as `leverage` gives it."""
        if self._pending is None:
            return product
        rows = self._pending.rows
        result: Float64 = product - rows.dot(row).dot(rows)
        return result

    def leverage(self, row: Float64) -> tuple[float, Float64]:
        """Return x' P^-1 x of one row, and base x, from which `product_from` makes P^-1 x."""
        product = blas.dsymv(1.0, self._base.T, row)
        leverage = float(row.dot(product))
        if self._pending is not None:
            change = self._pending.rows.dot(row)
            leverage -= float(change.dot(change))
        return max(leverage, 0.0), product

    def fast_leverage(self, row: Float32) -> float | None:
        """Return x' P^-1 x of one row, reading half as much memory; None where float32 would not do."""
        if self.root is None:
            return None
        product = blas.strmv(self.root.T, row, trans=1)
        whole = leverage = float(product.dot(product))
        if self._pending is not None:
            product = self._pending.rows.dot(row)
            leverage -= float(product.dot(product))
        return leverage if math.isfinite(whole) and leverage >= _LEAST_SHARE * whole else None

    def fast_leverages(self, rows: Float32) -> Float64 | None:
        """Return `fast_leverage` of rows (n, D), (n,) float64; None where one of them has none."""
        if self.root is None:
            return None
        product = blas.strmm(1.0, self.root.T, rows.T, trans_a=1).T
        whole = leverages = np.einsum("nd,nd->n", product, product).astype(np.float64)
        if self._pending is not None:
            product = rows @ self._pending.rows.T
            leverages = whole - np.einsum("nd,nd->n", product, product)
        fine = np.isfinite(whole.sum()) and bool((leverages >= _LEAST_SHARE * whole).all())
        return leverages if fine else None

    def leverages(self, rows: Float64) -> Float64:
        """Return x'Sx = 2 x'Ux - x' diag(S) x of rows (n, D), U the kept triangle: half a full product."""
        base = self._base
        product = blas.dtrmm(1.0, base.T, rows.T, trans_a=1)  # (D, n), Fortran order: rows @ U
        result: Float64 = 2.0 * np.einsum("nd,nd->n", product.T, rows) - (rows * rows) @ np.diagonal(base)
        if self._pending is not None:
            product = rows @ self._pending.rows.T
            result -= np.einsum("nd,nd->n", product, product)
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
        if len(row) < WIDE:
            return ArmPosterior(blas.dsyr(-step, direction, a=self._base.T).T, coefficients, None, age)
        pending = (self._pending or PendingRows(np.empty((0, len(row))), _PENDING_ROWS)).with_row(
            math.sqrt(step) * direction
        )
        if pending.full:
            return ArmPosterior(with_gram(self._base, pending.rows, -1.0), coefficients, None, age)
        return ArmPosterior(self._base, coefficients, self.root, age, pending)


def _drift(row: Float64, direction: Float64, sums: ArmSums, added: float) -> float:
    """Return |P (P^-1 x) - x| / |x|, which is 0 for an exact inverse."""
    error = sums.times(direction) - row
    if added:
        error[:-1] += added * direction[:-1]
    return float(np.sqrt(error.dot(error) / max(row.dot(row), np.finfo(np.float64).tiny)))
