"""Probability of being the best of several independent Student-t scores, by one-dimensional quadrature.

For scores with densities f_a and distribution functions F_a:

    P(a is best) = integral of f_a(z) prod over b != a of F_b(z) dz.

All arms share the nodes of a composite Gauss rule whose panels end at quantiles of every arm, so that a
narrow score beside a wide one is resolved. With k = 4 that is 3 * (4 * 10 - 1) nodes a row.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

from bandits.checks import Bool, Float64

# Panel ends, as normal quantiles: the mass outside is below 2e-7 for a normal score.
_QUANTILES = np.array([-5.2, -3.6, -2.5, -1.6, -0.75, 0.0, 0.75, 1.6, 2.5, 3.6, 5.2])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_NORMAL_CONSTANT = 1.0 / np.sqrt(2.0 * np.pi)
_SERIES_DF = 6.0  # from here on the series below is within 4e-8 of the exact distribution function
_MAX_CELLS = 2_000_000  # nodes x arms held at once: 16 MB a temporary


def best_arm_probabilities(
    locations: Float64, scales: Float64, degrees_of_freedom: Float64, available: Bool | None = None
) -> Float64:
    """Return the probability that each arm's score is the highest.

    Args:
        locations: (n, k) float64.
        scales: (n, k) float64, > 0.
        degrees_of_freedom: (k,) float64, > 0; infinity makes a score normal.
        available: (n, k) bool; an arm that is not available has probability 0. None means all are.

    Returns:
        (n, k) float64, rows sum to 1. Within about 1e-5 of exact (heavy tails, few degrees of freedom) and
        1e-7 (many), before rows are scaled to sum to 1.
    """
    n_rows, n_arms = locations.shape
    if available is not None:
        anchor = np.where(available, locations, -np.inf).argmax(axis=1)[:, None]
        # An absent arm's panels fall on those of a present one; its own factor is left out below.
        locations = np.where(available, locations, np.take_along_axis(locations, anchor, axis=1))
        scales = np.where(available, scales, np.take_along_axis(scales, anchor, axis=1))
    if n_arms == 1:
        return np.ones((n_rows, 1))
    step = max(1, _MAX_CELLS // (3 * len(_QUANTILES) * n_arms * n_arms))
    result = np.empty((n_rows, n_arms))
    for start in range(0, n_rows, step):
        part = slice(start, start + step)
        mask = None if available is None else available[part]
        result[part] = _block(locations[part], scales[part], degrees_of_freedom, mask)
    result /= result.sum(axis=1, keepdims=True)
    return result


def _block(locations: Float64, scales: Float64, df: Float64, available: Bool | None) -> Float64:
    """Integrate f_a / F_a * prod_b F_b over the range in which the maximum of the scores lies."""
    ends = locations[:, :, None] + scales[:, :, None] * _t_quantiles(df)  # (n, k, q)
    low, high = (
        ends[:, :, :1].max(axis=1),
        ends[:, :, -1:].max(axis=1),
    )  # (n, 1): below low, every product is tiny
    panels = np.clip(ends.reshape(len(ends), -1), low, high)
    panels.sort(axis=1)
    widths = np.diff(panels, axis=1)[:, :, None]  # (n, p, 1)
    nodes = (panels[:, :-1, None] + widths * _NODES).reshape(len(ends), 1, -1)  # (n, 1, m)
    weights = (widths * _WEIGHTS).reshape(len(ends), -1)  # (n, m)
    below, density = _t_distribution((nodes - locations[:, :, None]) / scales[:, :, None], df[:, None])
    if available is not None:
        below = np.where(available[:, :, None], below, 1.0)
        density = np.where(available[:, :, None], density, 0.0)
    density /= below  # every F_b is at least its own lowest quantile here, so nothing divides by zero
    density /= scales[:, :, None]
    all_below = np.multiply(below.prod(axis=1), weights)  # (n, m)
    chances: Float64 = (density @ all_below[:, :, None])[:, :, 0]
    return chances


def _t_quantiles(df: Float64) -> Float64:
    """Return (k, q): points near the panel ends' t quantiles; any would do, these are well placed."""
    finite = np.isfinite(df)[:, None]
    safe = np.where(finite, df[:, None], 1.0)
    heavy = np.sign(_QUANTILES) * np.sqrt(safe * np.expm1(_QUANTILES**2 / (safe + 1.0)))
    return np.where(finite, heavy, _QUANTILES)


def _t_distribution(t: Float64, df: Float64) -> tuple[Float64, Float64]:
    """Return distribution function and density of Student's t.

    Args:
        t: (n, k, m) float64.
        df: (k, 1) float64, > 0, may be infinite.

    The distribution function is the normal one at z(t), with a = df - 1/2, b = 48 a^2, y = a log(1 + t^2/df):

        z = sqrt(y) (1 + (y + 3 - (0.4 y^3 + 3.3 y^2 + 24 y + 85.5) / (0.8 y^2 + 100 + b)) / b)

    Source: Hill 1970, Algorithm 395 (Student's t-distribution), Communications of the ACM 13(10); exact
    values are computed below 6 degrees of freedom.
    """
    normal = np.isinf(df)
    squares = t * t
    if normal.all():
        return ndtr(t), np.exp(-0.5 * squares) * _NORMAL_CONSTANT
    safe = np.where(normal, 1.0, df)
    logs = np.log1p(squares / safe)
    density = np.exp(-0.5 * (safe + 1.0) * logs) * _t_constant(safe)
    a = np.maximum(safe, _SERIES_DF) - 0.5
    b = 48.0 * a * a
    y = logs * a
    series = ((-0.4 * y - 3.3) * y - 24.0) * y - 85.5
    series /= 0.8 * y * y + (100.0 + b)
    series += y + 3.0
    series /= b
    series += 1.0
    below = ndtr(np.copysign(series * np.sqrt(y), t))
    for arm in np.flatnonzero(normal[:, 0] | (df[:, 0] < _SERIES_DF)).tolist():
        below[:, arm] = ndtr(t[:, arm]) if normal[arm, 0] else stdtr(df[arm, 0], t[:, arm])
        if normal[arm, 0]:
            density[:, arm] = np.exp(-0.5 * squares[:, arm]) * _NORMAL_CONSTANT
    return below, density


def _t_constant(df: Float64) -> Float64:
    """Return Gamma((df + 1) / 2) / (Gamma(df / 2) sqrt(df pi))."""
    result: Float64 = np.exp(gammaln((df + 1) / 2) - gammaln(df / 2)) / np.sqrt(df * np.pi)
    return result
