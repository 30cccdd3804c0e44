"""Probability of being the best of several independent Student-t scores, by one-dimensional quadrature.

For scores with densities f_a and distribution functions F_a:

    P(a is best) = integral of f_a(z) prod over b != a of F_b(z) dz.

All arms share the nodes. Where the scores' scales are alike these are equidistant, which converges
exponentially for smooth integrands that vanish at both ends: about 20 nodes a row. Otherwise they are those of
a composite Gauss rule whose panels end at quantiles of every arm, so that a narrow score beside a wide one is
resolved: 3 * (10 k - 1) nodes a row.

Source: Trefethen and Weideman 2014, The Exponentially Convergent Trapezoidal Rule, SIAM Review 56(3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from scipy.special import gammaln, ndtr, stdtr

from bandits.checks import Bool, Float64, Int64

# Panel ends, as normal quantiles: the mass outside is below 2e-7 for a normal score.
_QUANTILES = np.array([-5.2, -3.6, -2.5, -1.6, -0.75, 0.0, 0.75, 1.6, 2.5, 3.6, 5.2])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_SPACING = 0.7  # distance of equidistant nodes, in units of a row's smallest scale
_COUNTS = np.array([10, 14, 18, 24, 36, 60])  # numbers of equidistant nodes; rows that need more get Gauss panels
_NORMAL_CONSTANT = 1.0 / np.sqrt(2.0 * np.pi)
_SERIES_DF = 6.0  # from here on the series below is within 4e-8 of the exact distribution function
_MAX_CELLS = 131_072  # nodes x arms held at once: 1 MB a temporary, which stays in the cache


@dataclass(frozen=True, slots=True)
class StudentLaws:
    """The arms' standardised Student-t laws, and what of them no row changes.

    Attributes:
        df: (k, 1) float64, degrees of freedom; 1 where a law is normal.
        normal: (k, 1) bool.
        all_normal: whether every arm's is.
        constants: (k, 1) float64, Gamma((df + 1) / 2) / (Gamma(df / 2) sqrt(df pi)).
        a, b: (k, 1) float64, of the series in `_t_distribution`.
        exceptions: the arms for which the series is not used.
        reach: (k,) float64, the outermost of the quantiles that panels end at.
        quantiles: (k, q) float64, those quantiles.
    """

    df: Float64
    normal: Bool
    all_normal: bool
    constants: Float64
    a: Float64
    b: Float64
    exceptions: tuple[int, ...]
    reach: Float64
    quantiles: Float64

    @classmethod
    def of(cls, degrees_of_freedom: Float64) -> Self:
        """Return the laws of (k,) degrees of freedom, > 0; infinity makes a law normal."""
        df = degrees_of_freedom[:, None]
        normal = np.isinf(df)
        safe = np.where(normal, 1.0, df)
        a = np.maximum(safe, _SERIES_DF) - 0.5
        quantiles = _t_quantiles(safe, normal)
        return cls(
            df=safe,
            normal=normal,
            all_normal=bool(normal.all()),
            constants=np.exp(gammaln((safe + 1) / 2) - gammaln(safe / 2)) / np.sqrt(safe * np.pi),
            a=a,
            b=48.0 * a * a,
            exceptions=tuple((normal[:, 0] | (safe[:, 0] < _SERIES_DF)).nonzero()[0].tolist()),
            reach=quantiles[:, -1],
            quantiles=quantiles,
        )


def best_arm_probabilities(
    locations: Float64, scales: Float64, degrees_of_freedom: Float64 | StudentLaws, available: Bool | None = None
) -> Float64:
    """Return the probability that each arm's score is the highest.

    Args:
        locations: (n, k) float64.
        scales: (n, k) float64, > 0.
        degrees_of_freedom: (k,) float64, > 0; infinity makes a score normal. Or the laws made from them, which
            saves a third of the time where rows come one by one.
        available: (n, k) bool; an arm that is not available has probability 0. None means all are.

    Returns:
        (n, k) float64, rows sum to 1. Within about 1e-5 of exact (heavy tails, few degrees of freedom) and
        1e-6 (many), before rows are scaled to sum to 1.
    """
    n_rows, n_arms = locations.shape
    if n_arms == 1:
        return np.ones((n_rows, 1))
    if available is not None:
        anchor = np.where(available, locations, -np.inf).argmax(axis=1)[:, None]
        # An absent arm's nodes fall on those of a present one; its own factor is left out below.
        locations = np.where(available, locations, np.take_along_axis(locations, anchor, axis=1))
        scales = np.where(available, scales, np.take_along_axis(scales, anchor, axis=1))
    laws = degrees_of_freedom if isinstance(degrees_of_freedom, StudentLaws) else StudentLaws.of(degrees_of_freedom)
    reach = laws.reach * scales
    low = np.maximum.reduce(locations - reach, axis=1)  # below low, every product is tiny
    high = np.maximum.reduce(locations + reach, axis=1)
    kinds = _COUNTS.searchsorted((high - low) / (_SPACING * np.minimum.reduce(scales, axis=1)))
    result = np.empty((n_rows, n_arms))
    for kind in kinds.tolist() if n_rows == 1 else range(len(_COUNTS) + 1):
        equidistant = kind < len(_COUNTS)
        n_nodes = int(_COUNTS[kind]) if equidistant else 3 * (len(_QUANTILES) * n_arms - 1)
        for rows in _pieces(kinds, kind, max(1, _MAX_CELLS // (n_nodes * n_arms))):
            place, scale = locations[rows], scales[rows]
            if equidistant:
                nodes, weights = _equidistant(low[rows], high[rows], n_nodes)
            else:
                nodes, weights = _panels(place, scale, laws, low[rows], high[rows])
            mask = None if available is None else available[rows]
            result[rows] = _integrals(nodes, weights, place, scale, laws, mask)
    result /= np.add.reduce(result, axis=1)[:, None]
    return result


def _integrals(
    nodes: Float64, weights: Float64, locations: Float64, scales: Float64, laws: StudentLaws, available: Bool | None
) -> Float64:
    """Return sum over nodes of weight * f_a / F_a * prod_b F_b, (n, k), for nodes (n, m) and weights (n, m or 1)."""
    inverse = 1.0 / scales[:, :, None]
    below, density = _t_distribution((nodes[:, None, :] - locations[:, :, None]) * inverse, laws)
    if available is not None:
        below = np.where(available[:, :, None], below, 1.0)
        density = np.where(available[:, :, None], density, 0.0)
    all_below = np.multiply.reduce(below, axis=1)  # (n, m)
    all_below *= weights
    density /= below  # every F_b is at least its own lowest quantile here, so nothing divides by zero
    density *= inverse
    chances: Float64 = np.matmul(density, all_below[:, :, None])[:, :, 0]
    return chances


def _equidistant(low: Float64, high: Float64, n_nodes: int) -> tuple[Float64, Float64]:
    """Return the midpoints of `n_nodes` equal parts of each row's range (n, m), and their length (n, 1)."""
    step = ((high - low) / n_nodes)[:, None]
    return low[:, None] + step * np.arange(0.5, n_nodes), step


def _panels(
    locations: Float64, scales: Float64, laws: StudentLaws, low: Float64, high: Float64
) -> tuple[Float64, Float64]:
    """Return nodes and weights, both (n, m), of three-point Gauss rules between all arms' quantiles."""
    ends = locations[:, :, None] + scales[:, :, None] * laws.quantiles  # (n, k, q)
    panels = np.clip(ends.reshape(len(ends), -1), low[:, None], high[:, None])
    panels.sort(axis=1)
    widths = np.diff(panels, axis=1)[:, :, None]  # (n, p, 1)
    nodes = (panels[:, :-1, None] + widths * _NODES).reshape(len(ends), -1)
    return nodes, (widths * _WEIGHTS).reshape(len(ends), -1)


def _pieces(kinds: Int64, kind: int, size: int) -> list[Int64] | list[slice]:
    """Return the rows of one kind, at most `size` at a time."""
    if len(kinds) == 1:
        return [slice(None)]
    rows = np.flatnonzero(kinds == kind)
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _t_quantiles(df: Float64, normal: Bool) -> Float64:
    """Return (k, q): points near the t quantiles of the normal ones; any would do, these are well placed."""
    heavy = np.sign(_QUANTILES) * np.sqrt(df * np.expm1(_QUANTILES**2 / (df + 1.0)))
    return np.where(normal, _QUANTILES, heavy)


def _t_distribution(t: Float64, laws: StudentLaws) -> tuple[Float64, Float64]:
    """Return distribution function and density of Student's t at (n, k, m) float64.

    The distribution function is the normal one at z(t), with a = df - 1/2, b = 48 a^2, y = a log(1 + t^2/df):

        z = sqrt(y) (1 + (y + 3 - (0.4 y^3 + 3.3 y^2 + 24 y + 85.5) / (0.8 y^2 + 100 + b)) / b)

    Source: Hill 1970, Algorithm 395 (Student's t-distribution), Communications of the ACM 13(10); exact
    values are computed below 6 degrees of freedom.
    """
    squares = t * t
    if laws.all_normal:
        return ndtr(t), np.exp(-0.5 * squares) * _NORMAL_CONSTANT
    logs = np.log1p(squares / laws.df)
    density = np.exp(-0.5 * (laws.df + 1.0) * logs) * laws.constants
    y = logs * laws.a
    series = ((-0.4 * y - 3.3) * y - 24.0) * y - 85.5
    series /= 0.8 * y * y + (100.0 + laws.b)
    series += y + 3.0
    series /= laws.b
    series += 1.0
    below = ndtr(np.copysign(series * np.sqrt(y), t))
    for arm in laws.exceptions:
        below[:, arm] = ndtr(t[:, arm]) if laws.normal[arm, 0] else stdtr(laws.df[arm, 0], t[:, arm])
        if laws.normal[arm, 0]:
            density[:, arm] = np.exp(-0.5 * squares[:, arm]) * _NORMAL_CONSTANT
    return below, density
