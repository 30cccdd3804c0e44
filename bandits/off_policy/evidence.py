"""What a log says about its own fitness for one evaluated policy, as sums: those of its batches add up to its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from bandits.checks import Float64, Int64
from bandits.off_policy.problem import OffPolicyProblem

_ROUNDING = 1e-14  # of the squares: a variance below it is none


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over queries, by column, from which a mean and its standard error follow.

    Attributes:
        scale: (c,) float64 > 0, what values were divided by, so that squares stay in float64.
        values: (c,) float64, of N: a query's values times its rows' weights.
        squares: (c,) float64, of N^2.
        products: (c,) float64, of N C, with C the weight of a query's rows.
        weight: of C.
        squared_weights: of C^2.
        n_queries: how many.
    """

    scale: Float64
    values: Float64
    squares: Float64
    products: Float64
    weight: float
    squared_weights: float
    n_queries: int

    def __add__(self, other: Self) -> Moments:
        """Return the moments of the queries of both."""
        scale = np.maximum(self.scale, other.scale)
        own, more = self.scale / scale, other.scale / scale
        return Moments(
            scale,
            self.values * own + other.values * more,
            self.squares * own**2 + other.squares * more**2,
            self.products * own + other.products * more,
            self.weight + other.weight,
            self.squared_weights + other.squared_weights,
            self.n_queries + other.n_queries,
        )

    @property
    def mean(self) -> Float64:
        """Return each column's mean, (c,) float64."""
        return self.scale * self.values / self.weight

    def deviations(self) -> list[float | None]:
        """Return each column's mean in standard errors from 0; None where values do not vary or there is one query."""
        if self.n_queries < 2:
            return [None] * len(self.values)
        mean = self.values / self.weight
        spread = self.squares - 2 * mean * self.products + mean**2 * self.squared_weights
        error = np.sqrt(self.n_queries / (self.n_queries - 1) * np.maximum(spread, 0.0)) / self.weight
        varies = spread > _ROUNDING * self.squares
        return [
            float(one) / float(of) if differs else None for one, of, differs in zip(mean, error, varies, strict=True)
        ]


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Sums over the rows of a log, or of some of its batches, for one evaluated policy.

    Attributes:
        n_rows: how many rows.
        n_queries: how many queries; one with rows in several batches counts in each, here and below.
        row_weight: sum of the row weights c.
        weights: sums over queries of W and of W^2, W its importance weights times its row weights.
        most_weight: the largest W.
        deviating: as `weights`, of rows whose reward is not the commonest one of their batch.
        worst_weight: the largest importance weight.
        worst_row: where it stands.
        possible_weight: the largest that may come: the problem's `max_weight`, else the largest that came.
        overlap: sum of c times what probability the two policies share.
        n_taken: (k,) int64, rows of each arm.
        mass: (k,) float64, sum of c times the evaluated policy's probability.
        outside: sum of c times the mass where the logging policy never acts; None where the log does not tell.
        whole: whether every row has its whole logged distribution.
        certain: whether every propensity is 1.
        reweighted: whether some weight is not 1.
        calibration: of each arm's 1{taken} minus what the log said of it, and last of the weights minus 1.
    """

    n_rows: int
    n_queries: int
    row_weight: float
    weights: tuple[float, float]
    most_weight: float
    deviating: tuple[float, float]
    worst_weight: float
    worst_row: int
    possible_weight: float
    overlap: float
    n_taken: Int64
    mass: Float64
    outside: float | None
    whole: bool
    certain: bool
    reweighted: bool
    calibration: Moments

    def __add__(self, other: Self) -> Evidence:
        """Return the evidence of these rows and of those that come after them, with the same arms."""
        later = other.worst_weight > self.worst_weight
        return Evidence(
            n_rows=self.n_rows + other.n_rows,
            n_queries=self.n_queries + other.n_queries,
            row_weight=self.row_weight + other.row_weight,
            weights=_added(self.weights, other.weights),
            most_weight=max(self.most_weight, other.most_weight),
            deviating=_added(self.deviating, other.deviating),
            worst_weight=max(self.worst_weight, other.worst_weight),
            worst_row=self.n_rows + other.worst_row if later else self.worst_row,
            possible_weight=max(self.possible_weight, other.possible_weight),
            overlap=self.overlap + other.overlap,
            n_taken=self.n_taken + other.n_taken,
            mass=self.mass + other.mass,
            outside=None if self.outside is None or other.outside is None else self.outside + other.outside,
            whole=self.whole and other.whole,
            certain=self.certain and other.certain,
            reweighted=self.reweighted or other.reweighted,
            calibration=self.calibration + other.calibration,
        )


def evidence_of(problem: OffPolicyProblem) -> Evidence:
    """Return what the rows of one problem say."""
    log, rows = problem.log, problem.row_weights
    per_query = _by_query(problem, problem.relative_weights)
    deviating = _by_query(problem, problem.relative_weights * _deviates(problem))
    worst = int(np.argmax(problem.weights))
    logged = log.action_probabilities
    shared = problem.weights.clip(max=1.0) if logged is None else np.minimum(logged, problem.probabilities).sum(axis=1)
    never = None if logged is None else np.where(logged == 0, problem.probabilities, 0.0).sum(axis=1)
    return Evidence(
        n_rows=len(log),
        n_queries=len(per_query),
        row_weight=float(rows.sum()),
        weights=_sums(per_query),
        most_weight=float(per_query.max()),
        deviating=_sums(deviating),
        worst_weight=float(problem.weights[worst]),
        worst_row=worst,
        possible_weight=float(problem.weights[worst]) if problem.max_weight is None else problem.max_weight,
        overlap=float(rows @ shared),
        n_taken=np.bincount(log.actions, minlength=log.n_arms),
        mass=np.asarray(rows @ problem.probabilities),
        outside=None if never is None else float(rows @ never),
        whole=logged is not None,
        certain=bool((log.propensities == 1).all()),
        reweighted=bool((problem.weights != 1).any()),
        calibration=_calibration(problem),
    )


def effective_number(sums: tuple[float, float]) -> float:
    """Return (sum W)^2 / sum W^2 from the two sums; 0 without any weight."""
    total, squares = sums
    return total**2 / squares if squares > 0 else 0.0


def _added(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return first[0] + second[0], first[1] + second[1]


def _sums(weights: Float64) -> tuple[float, float]:
    return float(weights.sum()), float(np.square(weights).sum())


def _by_query(problem: OffPolicyProblem, values: Float64) -> Float64:
    return np.bincount(problem.queries, problem.row_weights * values).astype(np.float64)


def _deviates(problem: OffPolicyProblem) -> np.ndarray:
    """Mark the rows whose reward is not the commonest under the evaluated policy; all where no two are equal."""
    rewards = problem.log.rewards
    values, kinds = np.unique(rewards, return_inverse=True)
    if len(values) == len(rewards):
        return np.ones(len(rewards), np.bool_)
    weight = problem.row_weights * problem.relative_weights
    return np.asarray(kinds != np.bincount(kinds, weight).argmax())


def _calibration(problem: OffPolicyProblem) -> Moments:
    """Return moments of 1{taken} - pi_b, or of 1{taken} / propensity - 1, for each arm; and of the weights - 1."""
    log, logged = problem.log, problem.log.action_probabilities
    per_row = 1 / log.propensities if logged is None else np.ones(len(log))
    counts = _by_query(problem, np.ones(len(log)))
    scale = np.ones(log.n_arms + 1)
    columns = np.empty((3, log.n_arms + 1))
    for column in range(log.n_arms + 1):
        values = problem.weights - 1 if column == log.n_arms else _surplus(problem, column, per_row)
        scale[column] = max(1.0, float(np.abs(values).max()))
        own = _by_query(problem, values / scale[column])
        columns[:, column] = own.sum(), own @ own, own @ counts
    values_, squares, products = columns
    return Moments(scale, values_, squares, products, float(counts.sum()), float(counts @ counts), len(counts))


def _surplus(problem: OffPolicyProblem, arm: int, per_row: Float64) -> Float64:
    log, logged = problem.log, problem.log.action_probabilities
    expected: Float64 | float = 1.0
    if logged is not None:
        expected = logged[:, arm]
    elif log.available is not None:
        expected = log.available[:, arm].astype(np.float64)
    return np.where(log.actions == arm, per_row, 0.0) - expected
