"""A lower bound on a running mean that holds at all times at once, so that one may look after every observation."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Float64

_N_RATES = 18
_RATES = 0.8 * 0.5 ** np.arange(_N_RATES)  # lambda: from a few observations of much variance to millions
_PENALTIES = -np.log1p(-_RATES) - _RATES  # psi_E(lambda)
_N_NEWTON = 12


class LowerConfidenceSequence:
    """Bounds the mean of the conditional expectations of a stream of values from below, at every time at once.

    With probability 1 - level, for all t: (1/t) sum_i E[X_i | the past] >= bound after t values. The values may depend
    on all that came before, as those of a policy that learns do, and may be looked at after each one.

    With xi_i = (X_i - Xhat_i) / c for predictions Xhat_i made before X_i and c = highest_mean - lowest, each
    exp(lambda * sum (X_i - E[X_i]) / c - psi_E(lambda) * sum xi_i^2) is a supermartingale for lambda in [0, 1); so is
    their mean over a grid of lambda, which stays below 1 / level with probability 1 - level (Ville). Only a lower end
    of the values is needed. The predictions are running means.

    Source: Howard, Ramdas, McAuliffe and Sekhon 2021, Time-uniform, nonparametric, nonasymptotic confidence sequences
    (arXiv:1810.08240), Theorem 4 with psi_E(lambda) = -log(1 - lambda) - lambda, and Waudby-Smith, Wu, Ramdas,
    Karampatziakis and Mineiro 2022 (arXiv:2210.10768) for values weighted by propensities. There one lambda or a
    conjugate mixture; here a mixture of 18 of them, for any size of the variance.

    Args:
        lowest: no value is below it; finite.
        highest_mean: no conditional expectation is above it, > lowest; for values in [0, 1] these are 0 and 1.
        level: probability in (0, 1) with which the bound may ever be wrong.

    Attributes:
        n: values so far.
        mean: of them; nan without any.
    """

    def __init__(self, lowest: float, highest_mean: float, level: float = 0.05) -> None:
        self._lowest = checks.number(lowest, "lowest")
        self._highest_mean = checks.number(highest_mean, "highest_mean")
        if not self._lowest < self._highest_mean:
            raise ValueError(f"highest_mean must be > lowest = {lowest:g}, got {highest_mean:g}")
        self.level = checks.share(level, "level")
        self.n, self._total, self._variance = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        """The mean of the values so far."""
        return self._total / self.n if self.n else math.nan

    @property
    def bound(self) -> float:
        """The lower bound after the values so far; `lowest` without any."""
        scale = self._highest_mean - self._lowest
        if self.n == 0:
            return self._lowest
        deviation = float(_deviation(np.array([self._variance]), self.level)[0])
        return max(self._lowest, self.mean - scale * deviation / self.n)

    def update(self, value: float) -> None:
        """Take a value.

        Raises:
            ValueError: if it is not finite, or below `lowest`.
        """
        checks.number(value, "value")
        if value < self._lowest:
            raise ValueError(f"value must be >= lowest = {self._lowest:g}, got {value}")
        scale = self._highest_mean - self._lowest
        self._variance += ((value - self._prediction()) / scale) ** 2
        self._total += value
        self.n += 1

    def _prediction(self) -> float:
        """Return the mean of what came before, beginning in the middle."""
        middle = (self._lowest + self._highest_mean) / 2
        return min((middle + self._total) / (self.n + 1), self._highest_mean)


def lower_confidence_sequence(values: ArrayLike, lowest: float, highest_mean: float, level: float = 0.05) -> Float64:
    """Return the bounds that `LowerConfidenceSequence` gives after each value.

    Args:
        values: (..., n) float64, each row a stream.
        lowest: see `LowerConfidenceSequence`.
        highest_mean: see `LowerConfidenceSequence`.
        level: see `LowerConfidenceSequence`.

    Returns:
        (..., n) float64.

    Raises:
        ValueError: see `LowerConfidenceSequence`.
    """
    n, totals, variances = _running(values, lowest, highest_mean, level)
    scale = highest_mean - lowest
    bounds: Float64 = np.maximum(lowest, (totals - scale * _deviation(variances, level)) / n)
    return bounds


def last_lower_bound(values: ArrayLike, lowest: float, highest_mean: float, level: float = 0.05) -> float:
    """Return the last of `lower_confidence_sequence` of one stream (n,), without those before.

    Args:
        values: see `lower_confidence_sequence`.
        lowest: see `LowerConfidenceSequence`.
        highest_mean: see `LowerConfidenceSequence`.
        level: see `LowerConfidenceSequence`.
    """
    n, totals, variances = (column[-1:] for column in _running(values, lowest, highest_mean, level))
    scale = highest_mean - lowest
    return max(lowest, float((totals - scale * _deviation(variances, level))[0] / n[0]))


def _running(
    values: ArrayLike, lowest: float, highest_mean: float, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how many values there are so far, their sums, and the sums of squares about the predictions."""
    LowerConfidenceSequence(lowest, highest_mean, level)
    rows = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(rows).all() and (rows >= lowest).all()):
        raise ValueError(f"values must be finite and >= lowest = {lowest:g}")
    totals = np.cumsum(rows, axis=-1)
    n = np.arange(1, rows.shape[-1] + 1)
    predictions = np.minimum(((lowest + highest_mean) / 2 + totals - rows) / n, highest_mean)
    return n, totals, np.cumsum(((rows - predictions) / (highest_mean - lowest)) ** 2, axis=-1)


def _deviation(variances: Float64, level: float) -> Float64:
    """Return the smallest s with mean over lambda of exp(lambda * s - psi_E(lambda) * variance) >= 1 / level.

    Newton's method on the logarithm, which is convex and increasing in s, from a point beyond the root: every iterate
    stays beyond it, so that stopping early makes the bound wider, never wrong.
    """
    wanted = math.log(_N_RATES / level)
    penalties = _PENALTIES * variances[..., None]
    s = ((wanted + penalties) / _RATES).min(axis=-1)  # where one lambda alone reaches it
    for _ in range(_N_NEWTON):
        exponents = _RATES * s[..., None] - penalties
        largest = exponents.max(axis=-1)
        terms = np.exp(exponents - largest[..., None])
        total = terms.sum(axis=-1)
        slope = (terms * _RATES).sum(axis=-1) / total
        s = s - (largest + np.log(total) - wanted) / slope
    return np.asarray(s)
