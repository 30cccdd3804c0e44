"""The covariances of all arms in one array, so that a small row's leverages are one product."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64


class StackedTriangles:
    """Lower triangles L of the arms' covariances S, which belong to the newest of a chain of posteriors.

    Kept as M = 2 L - diag(S), with which x'Mx = x'Sx, so that all arms' products are one of a matrix and a row.

    An update overwrites its arm's triangle and takes the array from the posteriors that it began with, instead of
    copying it. Who read meanwhile, in another thread, finds that the array is no longer theirs and makes one anew.

    Args:
        triangles: (k, D, D) float64.
        owner: whose they are.
    """

    __slots__ = ("_doubling", "_owners", "_triangles")

    def __init__(self, triangles: Float64, owner: object) -> None:
        size = triangles.shape[-1]
        self._doubling = 2.0 * np.tri(size) - np.eye(size)
        self._triangles, self._owners = triangles * self._doubling, {owner: True}

    def handed_over(self, old: object, new: object, arm: int, triangle: Float64) -> bool:
        """Overwrite one arm's triangle (D, D) and change the owner; return whether `old` was it."""
        if self._owners.pop(old, None) is None:  # one atomic operation: of two that ask, one gets it
            return False
        np.multiply(triangle, self._doubling, out=self._triangles[arm])
        self._owners[new] = True
        return True

    def leverages(self, owner: object, row: Float64) -> Float64 | None:
        """Return x'Sx of one row (D,), (k,) float64; None if they changed owner meanwhile."""
        if owner not in self._owners:
            return None
        size = len(row)
        products = self._triangles.reshape(-1, size).dot(row)  # of all arms at once
        leverages: Float64 = products.reshape(-1, size).dot(row)
        return np.maximum(leverages, 0.0, out=leverages) if owner in self._owners else None
