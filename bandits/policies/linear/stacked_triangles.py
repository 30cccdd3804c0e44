"""The covariances of all arms in one array, so that a small row's leverages are one product."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64


class StackedTriangles:
    """Lower triangles of the arms' covariances, which belong to the newest of a chain of posteriors.

    An update overwrites its arm's triangle and takes the array from the posteriors that it began with, instead of
    copying it. Who read meanwhile, in another thread, finds that the array is no longer theirs and makes one anew.

    Args:
        triangles: (k, D, D) float64.
        owner: whose they are.
    """

    __slots__ = ("_owners", "_triangles")

    def __init__(self, triangles: Float64, owner: object) -> None:
        self._triangles, self._owners = triangles, {owner: True}

    def handed_over(self, old: object, new: object, arm: int, triangle: Float64) -> bool:
        """Overwrite one arm's triangle (D, D) and change the owner; return whether `old` was it."""
        if self._owners.pop(old, None) is None:  # one atomic operation: of two that ask, one gets it
            return False
        self._triangles[arm] = triangle
        self._owners[new] = True
        return True

    def leverages(self, owner: object, row: Float64) -> Float64 | None:
        """Return x'Sx = 2 x'Lx - x' diag(S) x of one row (D,), (k,) float64; None if they changed owner meanwhile."""
        if owner not in self._owners:
            return None
        triangles = self._triangles
        diagonals = triangles.reshape(len(triangles), -1)[:, :: len(row) + 1]
        leverages: Float64 = 2.0 * triangles.dot(row).dot(row) - diagonals.dot(row * row)
        return np.maximum(leverages, 0.0, out=leverages) if owner in self._owners else None
