"""What one arm's rows amount to: sums, from which its ridge regression and the learned prior precision follow."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

from bandits.checks import Float64
from bandits.policies.linear.pending_rows import PendingRows

_PENDING_ROWS = 64  # rows of a wide arm that wait until they are added to its matrix in one product
WIDE = 128  # features from which copying a matrix costs more than a few calls


class ArmSums:
    """Sums over one arm's rows x (D,), rewards r and weights w; never changed, a row more makes another one.

    Only one triangle of the precision is kept: the lower one in C order, which BLAS sees as the upper one. Rows of a
    wide arm wait beside the matrix, so that learning one copies no matrix.

    Attributes:
        moment: (D,) float64, sum of w r x.
        row_weight: sum of w.
        squared_rewards: sum of w r^2.
    """

    __slots__ = ("_base", "_pending", "_signal", "_spread", "moment", "row_weight", "squared_rewards")

    def __init__(
        self,
        precision: Float64,
        moment: Float64,
        row_weight: float = 0.0,
        squared_rewards: float = 0.0,
        pending: PendingRows | None = None,
    ) -> None:
        """Take sums, and rows, scaled by the roots of their weights, that the precision lacks."""
        self._base, self._pending = precision, pending
        self.moment, self.row_weight, self.squared_rewards = moment, row_weight, squared_rewards
        self._spread: tuple[float, float, float] | None = None
        self._signal: tuple[float, float, float, float] | None = None

    @property
    def precision(self) -> Float64:
        """Return the prior's precision plus the sum of w x x', (D, D) float64, lower triangle."""
        return self._base if self._pending is None else with_gram(self._base, self._pending.rows)

    def shares_precision(self, other: ArmSums) -> bool:
        """Return whether both precisions are equal, and so are the rows that they lack."""
        if self._base is not other._base and not np.array_equal(self._base, other._base):
            return False
        if self._pending is None or other._pending is None:
            return self._pending is other._pending
        return np.array_equal(self._pending.rows, other._pending.rows)

    def times(self, row: Float64) -> Float64:
        """Return precision x, (D,) float64."""
        product: Float64 = blas.dsymv(1.0, self._base.T, row)
        if self._pending is not None:
            rows = self._pending.rows
            product += rows.T @ (rows @ row)
        return product

    def with_row(self, row: Float64, reward: float, weight: float) -> ArmSums:
        """Return the sums with one row more."""
        base, pending = self._base, self._pending
        if len(row) < WIDE:
            base = blas.dsyr(weight, row, a=base.T).T
        else:
            pending = (pending or PendingRows(np.empty((0, len(row))), _PENDING_ROWS)).with_row(row * math.sqrt(weight))
            if pending.full:
                base, pending = with_gram(base, pending.rows), None
        moment = self.moment + (weight * reward) * row
        row_weight, squares = self.row_weight + weight, self.squared_rewards + weight * reward * reward
        result = ArmSums(base, moment, row_weight, squares, pending)
        if self._spread is not None:
            result._spread = self._spread_with(self._spread, row, weight)
        return result

    def with_sums(self, precision: Float64, moment: Float64, row_weight: float, squared_rewards: float) -> ArmSums:
        """Return the sums with those of further rows added, of which `precision` has been added to this one's."""
        squares = self.squared_rewards + squared_rewards
        return ArmSums(precision, self.moment + moment, self.row_weight + row_weight, squares)

    @property
    def weighted_contexts(self) -> Float64:
        """Return the sum of w x without the intercept, (D - 1,) float64: the intercept's row of the precision."""
        total: Float64 = self._base[-1, :-1]
        if self._pending is None:
            return total
        rows = self._pending.rows
        return total + rows[:, -1] @ rows[:, :-1]

    def spread(self) -> tuple[float, float, float]:
        """Return |A|^2, s'As and tr A for A = sum w x x' without the intercept and s = sum w x, not centred.

        Computed on first use, then kept up row by row with one matrix-vector product each.
        """
        if self._spread is None:
            lower = np.tril(self.precision[:-1, :-1])
            diagonal, total = np.diagonal(lower), self.weighted_contexts
            norm = 2.0 * float(np.vdot(lower, lower)) - float(diagonal.dot(diagonal))
            along = 2.0 * float(total.dot(lower @ total)) - float((total * diagonal).dot(total))
            self._spread = norm, along, float(diagonal.sum())
        return self._spread

    def signal(self) -> tuple[float, float, float, float]:
        """Return m'm / v - tr A, |A|^2 - (tr A)^2 / f, tr A and f of `learned_precision`; zeros where nothing varies.

        All are centred, and v = q / f. Computed on first use.
        """
        if self._signal is None:
            self._signal = self._centred() or (0.0, 0.0, 0.0, 0.0)
        return self._signal

    def _centred(self) -> tuple[float, float, float, float] | None:
        n = self.row_weight
        freedom = n - 1.0
        if freedom <= 0.0:
            return None
        norm, along, trace = self.spread()
        total, reward = self.weighted_contexts, float(self.moment[-1])
        length = float(total.dot(total)) / n
        if not math.isfinite(self.squared_rewards):  # it bounds the moment's square, which would overflow below
            return None
        slopes = self.moment[:-1] - total * (reward / n)
        variation = self.squared_rewards - reward * reward / n
        norm += length * length - 2.0 * along / n
        trace -= length
        if variation <= 1e-12 * self.squared_rewards or trace <= 1e-12 * length:
            return None
        with np.errstate(over="ignore"):
            explained = float(slopes.dot(slopes)) * freedom / variation - trace
        pairs = norm - trace * trace / freedom
        if not (math.isfinite(explained) and math.isfinite(pairs)):  # rewards or contexts whose squares overflow
            return None
        return explained, max(pairs, 0.0), trace, freedom

    def _spread_with(
        self, spread: tuple[float, float, float], row: Float64, weight: float
    ) -> tuple[float, float, float]:
        norm, along, trace = spread
        x, total = row[:-1], self.weighted_contexts
        product = self.times(row)[:-1] - total  # without the intercept's column
        length, quadratic = float(x.dot(x)), float(x.dot(product))
        across = float(total.dot(x)) + weight * length
        norm += weight * (2.0 * quadratic + weight * length * length)
        along += weight * (2.0 * float(total.dot(product)) + weight * quadratic + across * across)
        return norm, along, trace + weight * length


def gram(rows: Float64) -> Float64:
    """Return the sum of x x' over rows (n, D) in C order by one BLAS call: (D, D), lower triangle only."""
    result: Float64 = blas.dsyrk(1.0, rows.T, lower=0).T
    return result


def with_gram(matrix: Float64, rows: Float64, factor: float = 1.0) -> Float64:
    """Return matrix + factor * gram(rows), lower triangle, as a new matrix."""
    result: Float64 = blas.dsyrk(factor, rows.T, beta=1.0, c=matrix.T, lower=0).T
    return result
