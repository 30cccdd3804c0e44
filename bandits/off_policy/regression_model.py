"""Any scikit-learn regressor as a model of the reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64, at_least, whole
from bandits.data.logged_data import LoggedData
from bandits.off_policy.reward_model import RewardModel, folds_of
from bandits.policies.regression import Regressor, fitted_regressor, regressor_of


@dataclass(frozen=True, eq=False)
class CrossFittedRegression(RewardModel):
    """One regressor of the reward on the context for each arm, fitted on the other folds.

    An arm with fewer than `min_rows` rows outside a fold is predicted there at the mean of all rewards outside it.
    Folds are made of whole queries, as those of `CrossFittedRidge`.

    Args:
        regressor: of scikit-learn, or with its fit, predict, get_params and set_params; it stays unfitted. Or its path,
            "sklearn.ensemble:RandomForestRegressor". None takes gradient-boosted trees.
        n_folds: at least 2; fewer where the log has fewer queries.
        min_rows: at least 1.
        seed: of the split into folds, and of every parameter `random_state` that is None.

    Raises:
        ImportError: if scikit-learn is missing (extra `sklearn`).
        TypeError: if the regressor lacks one of these methods.
    """

    regressor: Regressor | str | None = None
    n_folds: int = 5
    min_rows: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(self.n_folds, 2, "n_folds")  # a model must not see what it predicts
        at_least(self.min_rows, 1, "min_rows")
        whole(self.seed, 0, 2**32 - 1, "seed")  # as scikit-learn takes it
        object.__setattr__(self, "regressor", regressor_of(self.regressor, "regressor"))

    def predict(self, log: LoggedData) -> Float64:
        """Return (n, k) float64; see the class.

        Raises:
            ValueError: if all rows belong to one query, or rows have weights that the regressor cannot take.
        """
        regressor = regressor_of(self.regressor, "regressor")
        folds = folds_of(log, self.n_folds, self.seed)
        contexts = log.contexts.astype(np.float64)
        weights = np.ones(len(log)) if log.weights is None else log.weights
        result = np.empty((len(log), log.n_arms))
        for fold in range(int(folds.max()) + 1):
            inside, counted = folds == fold, (folds != fold) & (weights > 0)
            result[inside] = np.average(log.rewards[counted], weights=weights[counted]) if counted.any() else 0.0
            for arm in np.unique(log.actions[counted]).tolist():
                own = counted & (log.actions == arm)
                if int(own.sum()) >= self.min_rows:
                    fitted = fitted_regressor(regressor, contexts[own], log.rewards[own], weights[own], self.seed)
                    result[inside, arm] = fitted.predict(contexts[inside])
        return result
