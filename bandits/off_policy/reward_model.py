"""Models of the reward of every arm, for the estimators that use one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64, Int64, at_least, positive
from bandits.data.logged_data import LoggedData
from bandits.data.splits import query_numbers
from bandits.off_policy.terms import Range


class RewardModel(ABC):
    """Predicts what each arm would have brought on each row of a log; must be hashable (a frozen dataclass is)."""

    @abstractmethod
    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64, each row predicted without having seen that row's own query."""

    @property
    def range(self) -> Range:
        """Return bounds of all predictions where they do not depend on the log, else why there are none."""
        return "the reward model is fitted to the log, so terms are not independent"


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

    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64; see the class.

        Raises:
            ValueError: if all rows belong to one query, so that there is nothing to fit on.
        """
        from scipy.linalg import cho_factor, cho_solve  # slow to import

        folds = self._folds(log)
        n_folds = int(folds.max()) + 1
        weights = np.ones(len(log)) if log.weights is None else log.weights
        rows = np.column_stack([log.contexts.astype(np.float64), np.ones(len(log))])
        outside = weights.sum() - np.bincount(folds, weights)
        totals = (weights @ log.rewards) - np.bincount(folds, weights * log.rewards)
        means = np.divide(totals, outside, out=np.zeros(n_folds), where=outside > 0)
        members = [rows[folds == fold] for fold in range(n_folds)]
        result = np.empty((len(log), log.n_arms))
        for arm in range(log.n_arms):
            grams, moments = self._sums(rows, weights, log, folds, arm)
            for fold in range(n_folds):
                precision = np.delete(grams, fold, axis=0).sum(axis=0)
                moment = np.delete(moments, fold, axis=0).sum(axis=0) - means[fold] * precision[:, -1]
                diagonal = np.full(rows.shape[1], self.prior_precision)
                diagonal[-1] = self.intercept_precision
                coefficients = cho_solve(cho_factor(precision + np.diag(diagonal)), moment)
                result[folds == fold, arm] = means[fold] + members[fold] @ coefficients
        return result

    def _folds(self, log: LoggedData) -> Int64:
        queries = query_numbers(log)
        n_queries = int(queries.max()) + 1
        if n_queries < 2:
            raise ValueError("a cross-fitted reward model needs at least 2 queries, the log has 1")
        place = np.random.default_rng(self.seed).permutation(n_queries) % min(self.n_folds, n_queries)
        return np.asarray(place[queries], dtype=np.int64)

    def _sums(
        self, rows: Float64, weights: Float64, log: LoggedData, folds: Int64, arm: int
    ) -> tuple[Float64, Float64]:
        """Return one arm's sums of w x x' (folds, D, D) and of w r x (folds, D)."""
        n_folds, size = int(folds.max()) + 1, rows.shape[1]
        grams, moments = np.zeros((n_folds, size, size)), np.zeros((n_folds, size))
        for fold in range(n_folds):
            index = np.flatnonzero((log.actions == arm) & (folds == fold))
            weighted = rows[index] * weights[index, None]
            grams[fold] = weighted.T @ rows[index]
            moments[fold] = log.rewards[index] @ weighted
        return grams, moments


@dataclass(frozen=True)
class ConstantReward(RewardModel):
    """Predicts the same reward everywhere; with 0, the doubly robust estimator is IPS."""

    value: float = 0.0

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
