"""Probability of being the best of many independent Student-t scores, whose scales differ.

With densities f_a, distribution functions F_a and G(z) = prod_b F_b(z), the distribution function of the highest score,

    P(a is best) = integral of share_a(z) dG(z),   share_a = (f_a / F_a) / sum over b of f_b / F_b.

Shares sum to 1 everywhere, so the rule's probabilities do too. The range is halved wherever the trapezoidal rule in G
changes when it is: some 150 places, each of which costs one distribution function an arm, however many arms there are.
"""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool, Float64
from bandits.policies.linear.student_t import StudentT, t_distribution

_PARTS = 24  # of the range, to begin with
_TOLERANCE = 1e-5  # change of the probabilities' sum of absolute values at which a part is halved no more
_MAX_HALVINGS = 40  # a score's scale is below 1e-12 of the range after them


def many_arm_probabilities(
    locations: Float64, scales: Float64, distributions: StudentT, ends: tuple[float, float], available: Bool | None
) -> Float64:
    """Return the probability that each arm's score is the highest, (k,) float64, within about 1e-4.

    Args:
        locations: (k,) float64.
        scales: (k,) float64, > 0.
        distributions: of the standardised scores.
        ends: between which the highest score lies; every score has some probability below the first.
        available: (k,) bool; other arms have probability 0. None means all are.
    """
    places = np.linspace(*ends, _PARTS + 1)
    shares, below = _shares(places, locations, scales, distributions, available)
    left, right = (places[:-1], below[:-1], shares[:, :-1]), (places[1:], below[1:], shares[:, 1:])
    result = np.zeros(len(locations))
    for halving in range(_MAX_HALVINGS):
        places = (left[0] + right[0]) / 2
        shares, below = _shares(places, locations, scales, distributions, available)
        first = (below - left[1]) * (left[2] + shares) / 2
        second = (right[1] - below) * (shares + right[2]) / 2
        halves = first + second
        change = np.abs(halves - (right[1] - left[1]) * (left[2] + right[2]) / 2).sum(axis=0)
        rough = (change > _TOLERANCE) & (halving < _MAX_HALVINGS - 1)
        result += halves[:, ~rough].sum(axis=1)
        if not rough.any():
            break
        middle = places[rough], below[rough], shares[:, rough]
        outer_left, outer_right = (tuple(part[..., rough] for part in side) for side in (left, right))
        left = tuple(np.concatenate(pair, axis=-1) for pair in zip(outer_left, middle, strict=True))  # type: ignore[assignment]
        right = tuple(np.concatenate(pair, axis=-1) for pair in zip(middle, outer_right, strict=True))  # type: ignore[assignment]
    result /= result.sum()
    return result


def _shares(
    places: Float64, locations: Float64, scales: Float64, distributions: StudentT, available: Bool | None
) -> tuple[np.ndarray, Float64]:
    """Return the shares (k, m) and G (m,) at places (m,)."""
    scores = ((places - locations[:, None]) / scales[:, None]).astype(np.float32)
    values: tuple[np.ndarray, np.ndarray] = t_distribution(scores[:, :, None], distributions)
    below, shares = values
    shares /= below
    shares /= scales[:, None, None].astype(np.float32)
    if available is not None:
        shares[~available] = 0.0
        below[~available] = 1.0
    shares /= np.add.reduce(shares, axis=0)
    return shares[:, :, 0], np.multiply.reduce(below[:, :, 0], axis=0, dtype=np.float64)
