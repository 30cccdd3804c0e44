"""From scores and masks to distributions over arms."""

from __future__ import annotations

from typing import cast

import numpy as np

from bandits.checks import Bool, Float64


def uniform_over(mask: Bool) -> Float64:
    """Return (n, k) float64: equal probability for the true entries of each row."""
    counts = np.add.reduce(mask, axis=1, dtype=np.float64)
    return cast("Float64", mask / counts[:, None])


def greedy(scores: Float64, available: Bool | None) -> Float64:
    """Return all probability on the best available score of each row; ties share it equally.

    Args:
        scores: (n, k) float64; -inf marks an arm that is chosen only when all available ones are -inf.
        available: (n, k) bool or None for all.
    """
    if available is None:
        if len(scores) == 1:  # a single decision: plain floats are faster than arrays
            row = scores[0].tolist()
            best = max(row)
            share = 1.0 / row.count(best)
            return np.array([[share if score == best else 0.0 for score in row]])
        return uniform_over(scores == np.maximum.reduce(scores, axis=1)[:, None])
    best = np.maximum.reduce(np.where(available, scores, -np.inf), axis=1)[:, None]
    return uniform_over((scores == best) & available)
