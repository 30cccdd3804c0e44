"""The prior precision of linear rewards, learned from sums over rows by the method of moments.

Let A = sum w (x - x0)(x - x0)', m = sum w (r - r0)(x - x0) and q = sum w (r - r0)^2 be one arm's centred sums, f its
degrees of freedom. If r = c . x + noise with c ~ N(0, t2 I), then

    E m'm = t2 |A|^2 + s2 tr A,   E q = t2 tr A + s2 f,

two equations for t2 and the noise's variance s2; the precision relative to the noise is s2 / t2. Arms are pooled,
each in units of its own rewards' variance. The result is a function of sums, so that rows in any batches and shards
in any order give the same one, and costs no factorisation.

Source: Haseman and Elston 1972 regress products of two rows' outcomes on how alike the rows are; both equations are
that regression's for linear rewards. The pooling, the prior estimate and the grid are ours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from bandits.policies.linear.arm_sums import ArmSums

# Share of a reward's variance that its context explains before any row is seen, and the weight of that estimate in
# squared products of two contexts of average length: two like pairs of rows outweigh it.
_PRIOR_SHARE, _PRIOR_WEIGHT = 0.5, 2.0
_SHARES = (0.002, 0.98)  # beyond these, sums of few rows say nothing
# Precisions come from this geometric grid, because each change costs a factorisation of every arm. Rewards on the
# tuning splits did not differ between factors 1, 3 and 4.
_GRID = 4.0


def learned_prior_precision(arms: Sequence[ArmSums], *, grid: float = _GRID) -> float:
    """Return coefficients' prior precision, relative to the noise; 1 while there is nothing to learn from.

    Args:
        arms: each arm's sums, without any prior on the features; the last feature is the intercept.
        grid: ratio of neighbouring precisions that may be returned, > 1.
    """
    explained, pairs, trace, freedom = (sum(column) for column in zip(*(arm.signal() for arm in arms), strict=True))
    if freedom == 0.0:
        return 1.0
    average = trace / freedom  # mean squared length of a context
    weight = _PRIOR_WEIGHT * average * average
    share = (explained * average + weight * _PRIOR_SHARE) / (pairs + weight)
    if not math.isfinite(share):
        return 1.0
    share = min(max(share, _SHARES[0]), _SHARES[1])
    return float(grid ** round(math.log(average * (1.0 - share) / share, grid)))
