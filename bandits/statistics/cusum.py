"""Where the mean of a series changed: binary segmentation by a CUSUM test whose error rate is known."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bandits.checks import Float64

LEAST = 20  # seen values on either side of a change
_IN_STRETCH = 100  # seen values, over which their weights' mean square is taken
_MOST_STRETCHES = 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Neighbouring values without a change of their mean.

    Attributes:
        start: index of the first value.
        stop: index after the last one.
        mean: of the values, weighted.
    """

    start: int
    stop: int
    mean: float


def constant_pieces(values: Float64, weights: Float64 | None = None, *, error_rate: float) -> tuple[Piece, ...]:
    """Cut a series where its mean changed; one piece where no change can be told, none of no values.

    With m the weighted mean and y_i = w_i (v_i - m), whose mean is 0, the test takes

        max over j of |sum over i <= j of q_i (y_i - c)| / (s sqrt(sum of q)),   s^2 = sum of q_i (y_i - c)^2 / (n - 1),

    c the mean of y weighted by q. Without a change it is at most as large as the maximum of a Brownian bridge, whose
    distribution is Kolmogorov's, if each q_i is in proportion to 1 / variance of y_i; 1 / mean square of the weights
    around i is taken. Where it exceeds the 1 - error_rate quantile, the series is cut where the squared difference of
    the two means is largest in standard errors, at least 20 seen values from either end, and both pieces are tested
    in turn. So a series without any change is cut with probability `error_rate` at most, in the limit of many values.

    Args:
        values: (n,) float64 in order; independent of one another, of one variance.
        weights: (n,) float64 >= 0, 0 for a value that was not seen, else 1 / probability of seeing it: then neither
            which values were seen nor how many changes the mean. None where all were.
        error_rate: in (0, 1).

    Source: Page 1954, Continuous Inspection Schemes; Vostrikova 1981, Detecting disorder in multidimensional random
    processes (binary segmentation); limit: Csörgő and Horváth 1997, Limit Theorems in Change-Point Analysis, chapter 2.
    """
    seen = np.ones(len(values)) if weights is None else weights
    if not seen.any():
        return ()
    precisions = _precisions(seen)
    cuts: list[int] = []
    open_pieces = [(0, len(values))]
    while open_pieces:
        low, high = open_pieces.pop()
        cut = _cut(values[low:high], seen[low:high], precisions[low:high], error_rate)
        if cut is not None:
            cuts.append(low + cut)
            open_pieces += [(low, low + cut), (low + cut, high)]
    edges = [0, *sorted(cuts), len(values)]
    return tuple(
        Piece(start, stop, float(np.average(values[start:stop], weights=seen[start:stop])))
        for start, stop in pairwise(edges)
    )


def _precisions(weights: Float64) -> Float64:
    """Return (n,) float64, 1 / mean square of the weights in each stretch of equally many seen values."""
    positive = weights > 0
    n_seen = int(positive.sum())
    largest = float(weights.max())
    if float(weights[positive].min()) > (1 - 1e-9) * largest:
        return np.ones(len(weights))
    n_stretches = min(max(n_seen // _IN_STRETCH, 1), _MOST_STRETCHES)
    stretch = np.minimum((np.cumsum(positive) - positive) * n_stretches // n_seen, n_stretches - 1)
    squares = np.bincount(stretch, (weights / largest) ** 2) / np.bincount(stretch)
    return np.asarray(1.0 / squares[stretch])


def _cut(values: Float64, weights: Float64, precisions: Float64, error_rate: float) -> int | None:
    """Return the index of the first value after the change; None where there is none."""
    from scipy.special import kolmogorov  # slow to import

    n_before = np.cumsum(weights > 0)
    places = np.flatnonzero((n_before >= LEAST) & (n_before <= n_before[-1] - LEAST))  # a change comes after these
    if len(places) == 0:
        return None
    mean = float(np.average(values, weights=weights))
    moved = weights * (values - mean)
    total = float(precisions.sum())
    centred = moved - precisions @ moved / total
    variance = float(precisions @ centred**2) / (len(values) - 1)
    if variance <= 1e-24 * float((weights * np.abs(values)).max()) ** 2:  # equal but for rounding
        return None
    sums = np.cumsum(precisions * centred)
    if float(kolmogorov(np.abs(sums).max() / np.sqrt(variance * total))) > error_rate:
        return None
    share = np.cumsum(precisions)[places] / total
    return int(places[np.argmax(sums[places] ** 2 / (share * (1 - share)))]) + 1
