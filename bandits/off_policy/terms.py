"""What an off-policy estimate is a sum of: the row terms from which value and intervals are computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64, Int64

Range = tuple[float, float] | str
"""Bounds that terms keep for certain, or a clause that says why there are none."""


@dataclass(frozen=True, eq=False)
class Terms:
    """One estimate, row by row.

        value = sum(c * offset) / sum(c) + sum(c * numerator) / sum(c * denominator),  c the row weights.

    Without `denominator` the second part is a weighted mean, without `offset` the first is zero.

    Args:
        numerator: (m,) float64.
        row_weights: (m,) float64 >= 0, how many rows each stands for.
        queries: (m,) int64 in [0, q); rows of one query are not independent and are resampled together.
        denominator: (m,) float64 >= 0, or None for ones.
        offset: (m,) float64, or None for zeros.
        range: bounds of `numerator` where it is a plain mean of independent terms, or why there are none.
        notes: sentences that a reader of the estimate must know.

    Raises:
        ValueError: if terms are not finite or the denominators sum to zero, where no value is defined.
    """

    numerator: Float64
    row_weights: Float64
    queries: Int64
    denominator: Float64 | None = None
    offset: Float64 | None = None
    range: Range = "the estimator states no bounds"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for what in ("numerator", "denominator", "offset"):
            array = getattr(self, what)
            if array is not None and (array.shape != self.row_weights.shape or not np.isfinite(array).all()):
                raise ValueError(f"{what} must be {len(self.row_weights)} finite numbers, one a row")
        if len(self.row_weights) == 0 or not self.sums()[2] > 0:
            raise ValueError("an estimate needs at least one row that counts, and every row has weight 0")
        if not self.sums()[1] > 0:
            raise ValueError(
                "no logged action has a positive probability under the evaluated policy, so a self-normalised "
                "estimate is 0 / 0: this log cannot support the question"
            )

    @property
    def is_ratio(self) -> bool:
        """Return whether numerator and denominator are both random, so that a mean's interval does not apply."""
        return self.denominator is not None

    @property
    def n_queries(self) -> int:
        """Return the number of independent units."""
        return int(self.queries.max()) + 1

    def columns(self) -> Float64:
        """Return (m, 4) float64: numerator, denominator, row weight and offset, each times the row weight."""
        ones = np.ones_like(self.row_weights)
        denominator = ones if self.denominator is None else self.denominator
        offset = 0.0 * ones if self.offset is None else self.offset
        return np.stack([self.numerator, denominator, ones, offset], axis=1) * self.row_weights[:, None]

    def query_sums(self) -> Float64:
        """Return (q, 4) float64: `columns` summed within each query."""
        columns = self.columns()
        if self.n_queries == len(columns):
            result = np.empty_like(columns)
            result[self.queries] = columns
            return result
        return np.stack([np.bincount(self.queries, column, self.n_queries) for column in columns.T], axis=1)

    def sums(self) -> Float64:
        """Return (4,) float64: `columns` summed over all rows."""
        return np.asarray(self.columns().sum(axis=0))

    @property
    def value(self) -> float:
        """Return the estimate."""
        return float(values_of(self.sums()[None])[0])

    def influence(self) -> Float64:
        """Return (q,) float64: how much each query moves the estimate, to first order; sums to zero.

            c (offset - mean offset) / sum(c) + c (numerator - ratio * denominator) / sum(c * denominator)

        Source: Owen 2013, Monte Carlo theory, methods and examples, section 9.2 (delta method for a ratio).
        """
        numerator, denominator, weight, offset = self.sums()
        ratio, centre = numerator / denominator, offset / weight
        per_query = self.query_sums()
        moved = (per_query[:, 0] - ratio * per_query[:, 1]) / denominator
        return np.asarray(moved + (per_query[:, 3] - centre * per_query[:, 2]) / weight)


def values_of(sums: Float64) -> Float64:
    """Return (b,) float64, the estimate that each line of sums (b, 4) gives."""
    return np.asarray(sums[:, 0] / sums[:, 1] + sums[:, 3] / sums[:, 2])
