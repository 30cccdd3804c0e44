"""Ridge regressions with every prior precision at once, and what they predict of rows left out, in closed form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Self

import numpy as np
from scipy import linalg

from bandits.checks import Float32, Float64

_CHUNK = 2048  # rows turned to float64 at once
_NOTHING = 1e-13  # eigenvalues below, relative to the largest, are rounding


class RidgePath:
    """The regressions of several rewards, known on the same rows, for each of c prior precisions.

    The intercept is eliminated first: with weights w, s = sum w + its precision i and z = x - (sum w x) / s,

        x' P^-1 x = 1 / s + z' (Z + precision I)^-1 z,   Z = sum w z z' + i c c',   c = (sum w x) / s,

    and Z = V diag(e) V' is decomposed once.
    """

    def __init__(self, centre: Float64, per_row: float, mean: Float64, vectors: Float64, inverse: Float64) -> None:
        self._centre, self._per_row, self._mean, self._vectors, self._inverse = centre, per_row, mean, vectors, inverse
        self._moments = np.zeros((vectors.shape[1], len(mean)))

    @classmethod
    def of(
        cls,
        contexts: Float32,
        rewards: Float64,
        weights: Float64,
        precisions: Float64,
        intercept_precision: float | None,
    ) -> Self:
        """Fit all of them.

        Args:
            contexts: (n, d) float32.
            rewards: (n, a) float64.
            weights: (n,) float64.
            precisions: (c,) float64, > 0.
            intercept_precision: of an intercept about 0; None leaves it out.
        """
        centre, per_row = np.zeros(contexts.shape[1]), 0.0  # without an intercept
        if intercept_precision is not None:
            per_row = 1.0 / (float(weights.sum()) + intercept_precision)
            centre = per_row * (weights @ contexts)
        prior_row = np.sqrt(intercept_precision or 0.0) * centre
        eigenvalues, vectors = _spectrum(contexts, weights, centre, prior_row)
        inverse = 1.0 / (eigenvalues[:, None] + precisions)  # (r, c)
        path = cls(centre, per_row, per_row * (weights @ rewards), vectors, inverse)
        for part in parts(len(weights)):
            path._moments += path._rotated(contexts[part]).T @ (weights[part, None] * rewards[part])
        return path

    def predicted(self, contexts: Float32) -> Float64:
        """Return the predicted rewards of contexts (n, d), (n, a, c) float64."""
        rotated = self._rotated(contexts)
        return np.stack(
            [
                mean + rotated @ (moment[:, None] * self._inverse)
                for mean, moment in zip(self._mean, self._moments.T, strict=True)
            ],
            axis=1,
        )

    def left_out(self, contexts: Float32, rewards: Float64, weights: Float64) -> Float64:
        """Return what rows that were learned from would be predicted from the others, (n, a, c) float64.

        Source: Allen 1974 (PRESS); Hastie, Tibshirani and Friedman 2009, eq. 7.64.
        """
        rotated = self._rotated(contexts)
        left = 1.0 - weights[:, None] * (self._per_row + (rotated * rotated) @ self._inverse)
        known = rewards[:, :, None]
        return np.asarray(known - (known - self.predicted(contexts)) / left[:, None, :])

    def _rotated(self, contexts: Float32) -> Float64:
        return np.asarray((contexts.astype(np.float64) - self._centre) @ self._vectors)


def parts(n_rows: int) -> Iterator[slice]:
    """Yield slices of few enough rows to be turned to float64 at once."""
    for start in range(0, n_rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_rows))


def _spectrum(contexts: Float32, weights: Float64, centre: Float64, prior_row: Float64) -> tuple[Float64, Float64]:
    """Return eigenvalues (r,) and eigenvectors (d, r) of sum w z z' plus the prior's row; r <= d, zeros left out.

    Rows fewer than features are decomposed by their products with one another, of which there are fewer.
    """
    if len(weights) >= len(centre):
        total = np.outer(prior_row, prior_row)
        for part in parts(len(weights)):
            scaled = np.sqrt(weights[part])[:, None] * (contexts[part].astype(np.float64) - centre)
            total += scaled.T @ scaled
        eigenvalues, vectors = linalg.eigh(total, check_finite=False, overwrite_a=True)
        return np.maximum(eigenvalues, 0.0), vectors
    scaled = np.vstack([np.sqrt(weights)[:, None] * (contexts - centre), prior_row])
    eigenvalues, vectors = linalg.eigh(scaled @ scaled.T, check_finite=False, overwrite_a=True)
    kept = eigenvalues > _NOTHING * max(eigenvalues[-1], np.finfo(np.float64).tiny)
    return eigenvalues[kept], scaled.T @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
