"""The prior precision of linear rewards, learned from sums over rows by the method of moments.

Let A = sum w (x - x0)(x - x0)', m = sum w (r - r0)(x - x0) and q = sum w (r - r0)^2 be one arm's centred sums, f its
degrees of freedom. If r = c . x + noise with c ~ N(0, t2 I), then

    E m'm = t2 |A|^2 + s2 tr A,   E q = t2 tr A + s2 f,

two equations for t2 and the noise's variance s2; the precision relative to the noise is s2 / t2. Arms are pooled,
each in units of its own rewards' variance. The result is a function of sums, so that rows in any batches and shards
in any order give the same one, and costs no factorisation.

Source: Haseman and Elston 1972 regress products of two rows' outcomes on how alike the rows are; both equations are
that regression's for linear rewards. The pooling, the prior guess and the grid are ours.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

from bandits.checks import Float64

# Share of a reward's variance that its context explains before any row is seen, and the weight of that guess in
# squared products of two contexts of average length: two like pairs of rows outweigh it.
_PRIOR_SHARE, _PRIOR_WEIGHT = 0.5, 2.0
_SHARES = (0.002, 0.98)  # beyond these, sums of few rows say nothing
# Precisions come from this geometric grid, because each change costs a factorisation of every arm. Rewards on the
# tuning splits did not differ between factors 1, 3 and 4.
_GRID = 4.0


class SignalSums:
    """What the equations need of each arm's rows beyond a ridge's sums, kept up as rows come.

    Args:
        precision: (k, D, D) float64 sums of w x x' with D = d + 1, lower triangles, changed in place by their owner.
            The last row is the intercept's, so it holds s = sum w x.
    """

    def __init__(self, precision: Float64) -> None:
        self.precision = precision
        n_arms = len(precision)
        self._sums = [(0.0, 0.0, 0.0)] * n_arms  # of the uncentred A: |A|^2, s'As and tr A
        self._terms: list[tuple[float, float, float, float] | None] = [None] * n_arms
        self._stale, self._changed = set(range(n_arms)), set(range(n_arms))

    def expect(self, arm: int, row: Float64, weight: float) -> None:
        """Take in a row (D,) that is about to be added to the arm's sums: one matrix-vector product."""
        self._changed.add(arm)
        if arm in self._stale:
            return
        x, total = row[:-1], self.precision[arm, -1, :-1]
        product = blas.dsymv(1.0, self.precision[arm].T, row)[:-1] - total  # without the intercept's column
        length, quadratic = float(x.dot(x)), float(x.dot(product))
        across = float(total.dot(x)) + weight * length
        norm, along, trace = self._sums[arm]
        norm += weight * (2.0 * quadratic + weight * length**2)
        along += weight * (2.0 * float(total.dot(product)) + weight * quadratic + across**2)
        self._sums[arm] = norm, along, trace + weight * length

    def forget(self, arm: int) -> None:
        """Note that many rows were added to the arm's sums."""
        self._stale.add(arm)
        self._changed.add(arm)

    def sums(self, arm: int) -> tuple[float, float, float]:
        """Return |A|^2, s'As and tr A of an arm, not centred."""
        if arm in self._stale:
            lower = np.tril(self.precision[arm, :-1, :-1])
            diagonal, total = np.diagonal(lower), self.precision[arm, -1, :-1]
            norm = 2.0 * float(np.vdot(lower, lower)) - float(diagonal.dot(diagonal))
            along = 2.0 * float(total.dot(lower @ total)) - float((total * diagonal).dot(total))
            self._sums[arm] = norm, along, float(diagonal.sum())
            self._stale.discard(arm)
        return self._sums[arm]

    def prior_precision(self, moment: Float64, row_weight: Float64, squared_rewards: Float64) -> float:
        """Return coefficients' prior precision, relative to the noise; 1 while there is nothing to learn from.

        Args:
            moment: (k, D) float64, sums of w r x.
            row_weight: (k,) float64, sums of w.
            squared_rewards: (k,) float64, sums of w r^2.
        """
        for arm in self._changed:
            self._terms[arm] = self._arm_terms(arm, moment[arm], float(row_weight[arm]), float(squared_rewards[arm]))
        self._changed.clear()
        known = [terms for terms in self._terms if terms is not None]
        if not known:
            return 1.0
        explained, pairs, trace, freedom = (sum(column) for column in zip(*known, strict=True))
        average = trace / freedom  # mean squared length of a context
        weight = _PRIOR_WEIGHT * average**2
        share = (explained * average + weight * _PRIOR_SHARE) / (pairs + weight)
        share = min(max(share, _SHARES[0]), _SHARES[1])
        return float(_GRID ** round(math.log(average * (1.0 - share) / share, _GRID)))

    def _arm_terms(
        self, arm: int, moment: Float64, n: float, squared_rewards: float
    ) -> tuple[float, float, float, float] | None:
        """Return m'm / v - tr A, |A|^2 - (tr A)^2 / f, tr A and f, with v = q / f; None where nothing varies."""
        freedom = n - 1.0
        if freedom <= 0.0:
            return None
        norm, along, trace = self.sums(arm)
        total, reward = self.precision[arm, -1, :-1], float(moment[-1])
        length = float(total.dot(total)) / n
        slopes = moment[:-1] - total * (reward / n)
        variation = squared_rewards - reward**2 / n
        norm += length**2 - 2.0 * along / n
        trace -= length
        if variation <= 1e-12 * squared_rewards or trace <= 1e-12 * length:
            return None
        explained = float(slopes.dot(slopes)) * freedom / variation - trace
        if not math.isfinite(explained):  # rewards whose squares overflow
            return None
        return explained, max(norm - trace**2 / freedom, 0.0), trace, freedom
