"""A scikit-learn regressor as reward model, against the regressor itself."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.tree import DecisionTreeRegressor

from bandits import DoublyRobust
from bandits.off_policy import CrossFittedRegression
from bandits.off_policy.reward_model import folds_of
from bandits.testing import check_estimator
from tests.support.enumerated_problem import random_problem


def test_each_row_is_predicted_by_the_regressor_of_the_other_folds():
    log = replace(random_problem(np.random.default_rng(0), 80).log, query_ids=tuple(f"q{i // 2}" for i in range(80)))
    predicted = CrossFittedRegression(Ridge(alpha=0.3), n_folds=3, min_rows=2, seed=4).predict(log)
    folds, contexts = folds_of(log, 3, 4), log.contexts.astype(float)
    for fold in range(3):
        inside = folds == fold
        for arm in range(3):
            own = ~inside & (log.actions == arm)
            expected = Ridge(alpha=0.3).fit(contexts[own], log.rewards[own]).predict(contexts[inside])
            np.testing.assert_allclose(predicted[inside, arm], expected)


def test_an_arm_of_few_rows_is_predicted_at_the_mean_reward():
    log = replace(random_problem(np.random.default_rng(1)).log, rewards=np.full(40, 7.0))
    predicted = CrossFittedRegression(Ridge(), min_rows=10).predict(log.with_arms((*log.arm_names, "never tried")))
    np.testing.assert_allclose(predicted, 7.0)


def test_weights_count_as_rows_or_are_refused():
    problem = random_problem(np.random.default_rng(2), weights=np.tile([1.0, 0.0], 20))
    assert np.isfinite(CrossFittedRegression(DecisionTreeRegressor(max_depth=2)).predict(problem.log)).all()
    weighted = replace(problem.log, weights=np.tile([1.0, 2.0], 20))
    with pytest.raises(ValueError, match="the rows have weights, which KNeighborsRegressor cannot take"):
        CrossFittedRegression(KNeighborsRegressor(2), min_rows=2).predict(weighted)


def test_it_keeps_the_estimators_contract_and_one_seed_gives_one_value():
    check_estimator(lambda: DoublyRobust(CrossFittedRegression("sklearn.linear_model:Ridge")))


def test_what_is_no_regressor_is_refused_by_what_it_lacks():
    class NoPredict:
        def fit(self, x, y):
            return self

        def get_params(self, deep=True):
            return {}

        def set_params(self):
            return self

    with pytest.raises(TypeError, match=r"regressor must be a scikit-learn regressor .* \(it lacks predict\)"):
        CrossFittedRegression(NoPredict())
    with pytest.raises(TypeError, match="an instance"):
        CrossFittedRegression(Ridge)
    with pytest.raises(TypeError, match=r"or CrossFittedRegression\(regressor\) for one of scikit-learn, got Ridge"):
        DoublyRobust(Ridge())
