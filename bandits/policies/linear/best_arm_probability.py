"""Probability of being the best of several independent Student-t scores, by one-dimensional quadrature.

For scores with densities f_a and distribution functions F_a:

    P(a is best) = integral of f_a(z) prod over b != a of F_b(z) dz.

All arms share the nodes. Where the scores' scales are alike these are equidistant, which converges
exponentially for smooth integrands that vanish at both ends: about 20 nodes a row. Otherwise they are those of
a composite Gauss rule whose panels end at quantiles of every arm, so that a narrow score beside a wide one is
resolved: 3 * (11 k - 1) nodes a row. From 25 arms on these are too many, and `many_arms` halves the range instead.

Nodes are placed in float64; densities and distribution functions, which lie between 0 and 1, are float32, ten
times faster and within 2e-7. Arrays are (k, m, n), arms x nodes x rows, so that every sum runs along rows.

Source: Trefethen and Weideman 2014, The Exponentially Convergent Trapezoidal Rule, SIAM Review 56(3).
"""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool, Float64, Int64
from bandits.policies.linear.many_arms import many_arm_probabilities
from bandits.policies.linear.student_t import FEW_POINTS, QUANTILES, StudentT, t_distribution

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
_SPACING = 0.7  # distance of equidistant nodes, in units of a row's smallest scale
_COUNTS = np.array([10, 14, 18, 24, 36, 60])  # numbers of equidistant nodes; rows that need more get Gauss panels
_MIDPOINTS = [np.arange(0.5, count) / count for count in _COUNTS]
_FARTHEST = 1e15  # standardised scores beyond are set to it: its square is still a float32
_MANY_ARMS = 25  # from here on panels cost more than halving the range
_MAX_CELLS = 16_384  # nodes x arms held at once: 64 KB a temporary, which stays in the cache


def best_arm_probabilities(
    locations: Float64, scales: Float64, degrees_of_freedom: Float64 | StudentT, available: Bool | None = None
) -> Float64:
    """Return the probability that each arm's score is the highest.

    Args:
        locations: (n, k) float64.
        scales: (n, k) float64, > 0.
        degrees_of_freedom: (k,) float64, > 0; infinity makes a score normal. Or the distributions made from them, which
            saves a third of the time where rows come one by one.
        available: (n, k) bool; an arm that is not available has probability 0. None means all are.

    Returns:
        (n, k) float64, rows sum to 1. Within about 1e-5 of exact (heavy tails, few degrees of freedom) and
        1e-6 (many), before rows are scaled to sum to 1; within 1e-4 where 25 arms or more have unlike scales.
    """
    n_rows, n_arms = locations.shape
    if n_arms == 1:
        return np.ones((n_rows, 1))
    if available is not None:
        anchor = np.where(available, locations, -np.inf).argmax(axis=1)[:, None]
        # An absent arm's nodes fall on those of a present one; its own factor is left out below.
        locations = np.where(available, locations, np.take_along_axis(locations, anchor, axis=1))
        scales = np.where(available, scales, np.take_along_axis(scales, anchor, axis=1))
    distributions = degrees_of_freedom if isinstance(degrees_of_freedom, StudentT) else StudentT.of(degrees_of_freedom)
    if n_rows == 1 and available is None:
        single = _single_row(locations.T, scales.T, distributions)
        if single is not None:
            return single
    reach = distributions.reach * scales
    low = np.maximum.reduce(locations - reach, axis=1)  # below low, every product is tiny
    high = np.maximum.reduce(locations + reach, axis=1)
    kinds = _COUNTS.searchsorted((high - low) / (_SPACING * np.minimum.reduce(scales, axis=1)))
    result = np.empty((n_rows, n_arms))
    if n_arms >= _MANY_ARMS:
        for row in np.flatnonzero(kinds == len(_COUNTS)).tolist():
            mask = None if available is None else available[row]
            ends = float(low[row]), float(high[row])
            result[row] = many_arm_probabilities(locations[row], scales[row], distributions, ends, mask)
    for kind in range(len(_COUNTS) + (n_arms < _MANY_ARMS)):
        equidistant = kind < len(_COUNTS)
        n_nodes = int(_COUNTS[kind]) if equidistant else 3 * (len(QUANTILES) * n_arms - 1)
        for rows in _pieces(kinds, kind, max(1, _MAX_CELLS // (n_nodes * n_arms))):
            place, scale = locations[rows], scales[rows]
            weights = None
            if equidistant:
                nodes = _equidistant(low[rows], high[rows], n_nodes)
            else:
                nodes, weights = _panels(place, scale, distributions, low[rows], high[rows])
            mask = None if available is None else available[rows]
            result[rows] = _integrals(nodes, weights, place, scale, distributions, mask)
    result /= np.add.reduce(result, axis=1)[:, None]
    return result


def _single_row(locations: Float64, scales: Float64, distributions: StudentT) -> Float64 | None:
    """Return `best_arm_probabilities` of one row, (k, 1) arrays, by equidistant nodes; None if it takes panels.

    The same sums with half the calls, which is what a single row's time goes to.
    """
    reach = distributions.reach[:, None] * scales
    low, high = float((locations - reach).max()), float((locations + reach).max())
    kind = int(_COUNTS.searchsorted((high - low) / (_SPACING * float(scales.min()))))
    if kind == len(_COUNTS):
        return None
    nodes = _MIDPOINTS[kind] * (high - low)
    nodes += low
    scores = nodes - locations
    scores /= scales
    below, density = t_distribution(scores[:, :, None], distributions)
    density /= below
    density *= np.multiply.reduce(below, axis=0)
    probabilities: Float64 = np.add.reduce(density, axis=1)
    probabilities /= scales
    probabilities /= np.add.reduce(probabilities, axis=0)
    return probabilities.T


def _integrals(
    nodes: Float64,
    weights: Float64 | None,
    locations: Float64,
    scales: Float64,
    distributions: StudentT,
    available: Bool | None,
) -> Float64:
    """Return (n, k), up to a factor for each row: sum over nodes (m, n) of weight * f_a / F_a * prod_b F_b.

    Weights are (m, n), or None where those of a row are alike.
    """
    inverse = 1.0 / np.ascontiguousarray(scales.T)  # (k, n)
    scores = nodes - np.ascontiguousarray(locations.T)[:, None]
    scores *= inverse[:, None]
    if weights is not None:
        np.minimum(scores, _FARTHEST, out=scores)
    below, density = t_distribution(scores if scores.size <= FEW_POINTS else scores.astype(np.float32), distributions)
    if available is not None:
        hidden = ~available.T[:, None]
        below[np.broadcast_to(hidden, below.shape)] = 1.0
        density[np.broadcast_to(hidden, below.shape)] = 0.0
    all_below = np.multiply.reduce(below, axis=0)  # (m, n)
    if weights is not None:
        all_below *= weights / np.maximum.reduce(weights, axis=0)
    density /= below  # every F_b is at least its own lowest quantile here, so nothing divides by zero
    density *= all_below
    probabilities: Float64 = np.add.reduce(density, axis=1) * inverse
    return probabilities.T


def _equidistant(low: Float64, high: Float64, n_nodes: int) -> Float64:
    """Return the midpoints of `n_nodes` equal parts of each row's range, (m, n)."""
    return low + np.arange(0.5, n_nodes)[:, None] * ((high - low) / n_nodes)


def _panels(
    locations: Float64, scales: Float64, distributions: StudentT, low: Float64, high: Float64
) -> tuple[Float64, Float64]:
    """Return nodes and weights, both (m, n), of three-point Gauss rules between all arms' quantiles."""
    ends = locations.T[:, None] + scales.T[:, None] * distributions.quantiles[:, :, None]  # (k, q, n)
    panels = np.clip(ends.reshape(-1, len(low)), low, high)
    panels.sort(axis=0)
    widths = np.diff(panels, axis=0)[:, None]  # (p, 1, n)
    nodes = panels[:-1, None] + widths * _NODES[:, None]
    return nodes.reshape(-1, len(low)), (widths * _WEIGHTS[:, None]).reshape(-1, len(low))


def _pieces(kinds: Int64, kind: int, size: int) -> list[Int64]:
    """Return the rows of one kind, at most `size` at a time."""
    rows = np.flatnonzero(kinds == kind)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
