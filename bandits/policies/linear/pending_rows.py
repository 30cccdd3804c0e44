"""Rows that wait beside a matrix until there are enough to add them to it by one product."""

from __future__ import annotations

import numpy as np

from bandits.checks import Float64


class PendingRows:
    """A few rows; never changed, a row more makes another one, which shares the memory.

    The memory is only ever written beyond the rows that anybody has. Who adds a row claims its place first, by one
    atomic operation of a dict; where another did so before, the rows are copied.

    Args:
        rows: (n, D) float64, of which there may be none.
        capacity: rows that there is room for.

    Attributes:
        rows: (n, D) float64.
        full: whether no row more has room.
    """

    __slots__ = ("_claims", "_memory", "full", "rows")

    def __init__(self, rows: Float64, capacity: int) -> None:
        self._memory = np.empty((capacity, rows.shape[1]))
        self._claims: dict[int, object] = {}
        self.rows = self._memory[: len(rows)]
        self.rows[:] = rows
        self.full = len(rows) == capacity

    def with_row(self, row: Float64) -> PendingRows:
        """Return these rows and one more."""
        claim, memory, n_rows = object(), self._memory, len(self.rows)
        if self._claims.setdefault(n_rows, claim) is not claim:
            return PendingRows(self.rows, len(memory)).with_row(row)
        memory[n_rows] = row
        result = PendingRows.__new__(PendingRows)
        result._memory, result._claims, result.rows = memory, self._claims, memory[: n_rows + 1]
        result.full = n_rows + 1 == len(memory)
        return result
