"""Models of the reward of every arm, for the estimators that use one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64, Int64, at_least, finite, matrix, number, positive
from bandits.data.logged_data import LoggedData
from bandits.data.splits import query_numbers
from bandits.off_policy.terms import Range

ROWS_AT_ONCE = 8_192
CELLS_AT_ONCE = 2**24  # of the arms' matrices: 128 MB


class RewardModel(ABC):
    """Predicts what each arm would have brought on each row of a log; must be hashable (a frozen dataclass is)."""

    @abstractmethod
    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64, each row predicted without having seen that row's own query."""

    @property
    def range(self) -> Range:
        """Return bounds of all predictions where they do not depend on the log, else why there are none."""
        return "the reward model is fitted to the log, so terms are not independent"


def check_reward_model(model: object) -> None:
    """Reject what is no reward model, a class of them included."""
    if not isinstance(model, RewardModel):
        raise TypeError(
            "reward_model must be a RewardModel, such as CrossFittedRidge(), or CrossFittedRegression(regressor) for "
            f"one of scikit-learn, got {model!r}"
        )


def predicted(model: RewardModel, log: LoggedData) -> Float64:
    """Return the model's (n, k) float64 predictions.

    Raises:
        ValueError: if they are not finite, or not of this shape.
    """
    what = f"{type(model).__name__}'s predictions"
    predictions = matrix(model.predict(log), what, np.float64, (len(log), log.n_arms))
    finite(predictions, what)
    return predictions


@dataclass(frozen=True, kw_only=True)
class CrossFittedRidge(RewardModel):
    """One ridge regression of the reward on the context for each arm, fitted on the other folds.

        coefficients of arm a = (sum w x x' + P0)^-1 sum w x (r - mean),    over rows of a outside the fold

    with mean that of all rewards outside the fold: an arm without rows there is predicted at that mean. Folds
    are made of whole queries, so that no row's prediction has seen its reward.

    Args:
        n_folds: at least 2; fewer where the log has fewer queries.
        prior_precision: of each coefficient, as in `LinearPolicy`; 1 suits contexts of about unit length.
        intercept_precision: of the intercept.
        seed: of the split into folds.

    Source: Chernozhukov et al. 2018, Double/debiased machine learning, section 3 (cross-fitting).
    """

    n_folds: int = 5
    prior_precision: float = 1.0
    intercept_precision: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self.n_folds, 2, "n_folds")  # a model must not see what it predicts
        positive(self.prior_precision, "prior_precision")
        positive(self.intercept_precision, "intercept_precision")
        at_least(self.seed, 0, "seed")

    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64; see the class.

        Raises:
            ValueError: if all rows belong to one query, so that there is nothing to fit on.
        """
        folds = folds_of(log, self.n_folds, self.seed)
        n_folds = int(folds.max()) + 1
        weights = np.ones(len(log)) if log.weights is None else log.weights
        outside = weights.sum() - np.bincount(folds, weights)
        totals = (weights @ log.rewards) - np.bincount(folds, weights * log.rewards)
        means = np.divide(totals, outside, out=np.zeros(n_folds), where=outside > 0)
        coefficients = self._coefficients(log, weights, folds, means)
        result = np.empty((len(log), log.n_arms))
        for rows, contexts in _blocks(log, np.arange(len(log))):
            for fold in range(n_folds):
                own = folds[rows] == fold
                result[rows[own]] = contexts[own] @ coefficients[fold].T
        return result

    def _coefficients(self, log: LoggedData, weights: Float64, folds: Int64, means: Float64) -> Float64:
        """Return (folds, k, d + 1) float64: each arm's coefficients from the rows outside each fold."""
        from scipy.linalg import cho_factor, cho_solve  # slow to import

        n_folds, size = len(means), log.n_features + 1
        prior = np.diag([self.prior_precision] * log.n_features + [self.intercept_precision])
        result = np.empty((n_folds, log.n_arms, size))
        step = max(1, CELLS_AT_ONCE // (n_folds * size**2))
        for start in range(0, log.n_arms, step):
            arms = range(start, min(start + step, log.n_arms))
            grams, moments = _sums(log, weights, folds, arms)
            for fold, arm in product(range(n_folds), arms):
                precision = np.delete(grams[:, arm - start], fold, axis=0).sum(axis=0)
                moment = np.delete(moments[:, arm - start], fold, axis=0).sum(axis=0) - means[fold] * precision[:, -1]
                result[fold, arm] = cho_solve(cho_factor(precision + prior), moment)
        result[:, :, -1] += means[:, None]
        return result


def folds_of(log: LoggedData, n_folds: int, seed: int) -> Int64:
    """Return (n,) int64, the fold of each row, rows of one query in one; fewer folds where there are fewer queries.

    Raises:
        ValueError: if all rows belong to one query.
    """
    queries = query_numbers(log)
    n_queries = int(queries.max()) + 1
    if n_queries < 2:
        raise ValueError("a cross-fitted reward model needs at least 2 queries, the log has 1")
    place = np.random.default_rng(seed).permutation(n_queries) % min(n_folds, n_queries)
    return np.asarray(place[queries], dtype=np.int64)


def _blocks(log: LoggedData, rows: Int64) -> Iterator[tuple[Int64, Float64]]:
    """Yield indices of rows with their contexts and a 1, (m, d + 1) float64, never all rows at once."""
    for start in range(0, len(rows), ROWS_AT_ONCE):
        part = rows[start : start + ROWS_AT_ONCE]
        yield part, np.column_stack([log.contexts[part].astype(np.float64), np.ones(len(part))])


def _sums(log: LoggedData, weights: Float64, folds: Int64, arms: range) -> tuple[Float64, Float64]:
    """Return each fold's and arm's sums of w x x' (folds, arms, D, D) and of w r x (folds, arms, D)."""
    n_folds, n_arms, size = int(folds.max()) + 1, len(arms), log.n_features + 1
    grams, moments = np.zeros((n_folds, n_arms, size, size)), np.zeros((n_folds, n_arms, size))
    of_arms = np.flatnonzero((log.actions >= arms.start) & (log.actions < arms.stop))
    for rows, contexts in _blocks(log, of_arms):
        group = folds[rows] * n_arms + log.actions[rows] - arms.start
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        weighted = contexts * weights[rows, None]
        for index in np.split(order, starts[1:]):
            place = divmod(int(group[index[0]]), n_arms)
            grams[place] += weighted[index].T @ contexts[index]
            moments[place] += log.rewards[rows][index] @ weighted[index]
    return grams, moments


@dataclass(frozen=True)
class ConstantReward(RewardModel):
    """Predicts the same reward everywhere; with 0, the doubly robust estimator is IPS."""

    value: float = 0.0

    def __post_init__(self) -> None:
        number(self.value, "value")

    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64, all `value`."""
        return np.full((len(log), log.n_arms), float(self.value))

    @property
    def range(self) -> Range:
        """Return the value, twice."""
        return self.value, self.value


@dataclass(frozen=True, eq=False)
class GivenPredictions(RewardModel):
    """Predictions made elsewhere, by any model that was fitted to other queries.

    Args:
        predictions: (n, k) float64, rows as in the log, columns as its arms.
        bounds: that the model keeps for certain, if it does.
    """

    predictions: ArrayLike
    bounds: tuple[float, float] | None = field(default=None, kw_only=True)

    def predict(self, log: LoggedData) -> Float64:
        """Return the given predictions."""
        return np.asarray(self.predictions, dtype=np.float64)

    @property
    def range(self) -> Range:
        """Return the stated bounds."""
        return self.bounds or "no bounds were stated for the given predictions"
