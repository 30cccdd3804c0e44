"""What an off-policy estimate is a sum of: the row terms from which value and intervals are computed."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bandits.checks import Float64, Int64

LARGEST = 1e100  # of a term: the squares of larger ones, and their sums, leave float64

Range = tuple[float, float] | str
"""Bounds that terms keep for certain, or a clause that says why there are none."""


def lacking_squares(lacking: float, heaviest: float) -> float:
    """Return the sum of squares of the weight that a log lacks, on rows of the heaviest weight; at least on one row.

    Args:
        lacking: how far the sum of weights is below what it is on average; 0 counts where it is above.
        heaviest: the largest weight that a row, or query, may have.
    """
    return lacking * min(heaviest, lacking) if lacking > 0 else 0.0


@dataclass(frozen=True, eq=False, slots=True)
class TermSums:
    """Sums of terms, each times its row weight: of all rows, by query, or of resamples; any shape, one for all four.

        values = numerator / denominator + offset / weight

    Args:
        numerator: float64 sums of what `Terms` calls so.
        denominator: float64 sums of what `Terms` calls so.
        weight: float64 sums of the row weights.
        offset: float64 sums of the offsets.
    """

    numerator: Float64
    denominator: Float64
    weight: Float64
    offset: Float64

    @classmethod
    def unstack(cls, columns: Float64) -> TermSums:
        """Return the sums of which `stack` made columns (..., 4)."""
        return cls(*np.moveaxis(columns, -1, 0))

    def stack(self) -> Float64:
        """Return (..., 4) float64, which a bootstrap can add up."""
        return np.stack([self.numerator, self.denominator, self.weight, self.offset], axis=-1)

    @property
    def defined(self) -> np.ndarray:
        """Return bool, where there is an estimate: some row counts and some denominator is above 0."""
        return np.asarray((self.denominator > 0) & (self.weight > 0))

    @property
    def values(self) -> Float64:
        """Return float64, the estimate that each of the sums gives; NaN where none is defined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = self.numerator / self.denominator + self.offset / self.weight
        return np.where(self.defined, values, np.nan)


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
        weights: (m,) float64 >= 0, the importance weights that are factors of `numerator`; None where there are none
            (the denominator, where there is one, counts as such).
        lacking: the sum of squares of the weights that the log happens to lack, see `lacking_squares`.
        range: bounds of `numerator + offset` where it is a plain mean of independent terms, or why there are none.
        reward_range: bounds that the policy's value keeps for certain; None where none were stated.
        biased: why no interval around the estimate would hold the policy's value; None where one may.
        notes: sentences that a reader of the estimate must know.
        refits: (B,) float64, the estimate on B redraws of the queries, with its model fitted anew on each; None where
            it was not.

    Raises:
        ValueError: if terms are not finite or too large, or the denominators sum to zero, where no value is defined.
    """

    numerator: Float64
    row_weights: Float64
    queries: Int64
    denominator: Float64 | None = None
    offset: Float64 | None = None
    weights: Float64 | None = None
    lacking: float = 0.0
    range: Range = "the estimator states no bounds"
    reward_range: tuple[float, float] | None = None
    biased: str | None = None
    notes: tuple[str, ...] = ()
    refits: Float64 | None = None

    def __post_init__(self) -> None:
        for what in ("numerator", "denominator", "offset", "weights"):
            array = getattr(self, what)
            if array is not None:
                self._check(array, what)
        sums = self.sums
        if len(self.row_weights) == 0 or not sums.weight > 0:
            raise ValueError("an estimate needs at least one row that counts, and every row has weight 0")
        if not sums.denominator > 0:
            raise ValueError(
                "no logged action has a positive probability under the evaluated policy, so a self-normalised "
                "estimate is 0 / 0: this log cannot support the question"
            )

    def _check(self, array: Float64, what: str) -> None:
        if array.shape != self.row_weights.shape or not np.isfinite(array).all():
            raise ValueError(f"{what} must be {len(self.row_weights)} finite numbers, one a row")
        largest = float(np.abs(array).max(initial=0.0))
        if largest > LARGEST:
            raise ValueError(
                f"terms of up to {largest:.1e} have no mean that means anything: propensities are almost 0 where the "
                "evaluated policy acts, or rewards are that large; use a self-normalised estimator, or leave rows out"
            )

    @property
    def is_ratio(self) -> bool:
        """Return whether numerator and denominator are both random, so that a mean's interval does not apply."""
        return self.denominator is not None

    @cached_property
    def n_queries(self) -> int:
        """Return the number of independent units."""
        return int(self.queries.max()) + 1

    def by_row(self) -> TermSums:
        """Return (m,) sums: each row's own terms times its weight."""
        weight = self.row_weights
        return TermSums(
            self.numerator * weight,
            weight if self.denominator is None else self.denominator * weight,
            weight,
            np.zeros_like(weight) if self.offset is None else self.offset * weight,
        )

    @cached_property
    def by_query(self) -> TermSums:
        """Return (q,) sums: `by_row` summed within each query."""
        rows = self.by_row()
        columns = (rows.numerator, rows.denominator, rows.weight, rows.offset)
        return TermSums(*(np.bincount(self.queries, column).astype(np.float64) for column in columns))

    @cached_property
    def sums(self) -> TermSums:
        """Return sums without a shape: over all rows."""
        rows = self.by_row()
        columns = (rows.numerator, rows.denominator, rows.weight, rows.offset)
        return TermSums(*(np.asarray(column.sum()) for column in columns))

    @property
    def value(self) -> float:
        """Return the estimate."""
        return float(self.sums.values)

    def weights_by_query(self) -> Float64 | None:
        """Return (q,) float64: row weights times importance weights, summed within each query; None without any."""
        weights = self.denominator if self.weights is None else self.weights
        if weights is None:
            return None
        return np.asarray(np.bincount(self.queries, self.row_weights * weights, minlength=self.n_queries))

    @cached_property
    def influence(self) -> Float64:
        """Return (q,) float64: how much each query moves the estimate, to first order; sums to zero.

            c (offset - mean offset) / sum(c) + c (numerator - ratio * denominator) / sum(c * denominator)

        Source: Owen 2013, Monte Carlo theory, methods and examples, section 9.2 (delta method for a ratio).
        """
        total, own = self.sums, self.by_query
        ratio, centre = total.numerator / total.denominator, total.offset / total.weight
        moved = (own.numerator - ratio * own.denominator) / total.denominator
        return np.asarray(moved + (own.offset - centre * own.weight) / total.weight)
