"""A policy of any scikit-learn regressor, against the regressor itself."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from bandits import EpsilonGreedy, LoggedData, Regression, Softmax, load_policy
from bandits.testing import check_policy, example_data, example_log


def test_each_arm_is_predicted_by_the_regressor_of_its_own_rows():
    log = example_log()
    predicted = Regression(Ridge(alpha=0.3)).fit(log).predict_rewards(log.contexts)
    for arm in range(3):
        own = log.actions == arm
        expected = Ridge(alpha=0.3).fit(log.contexts[own].astype(float), log.rewards[own])
        np.testing.assert_allclose(predicted[:, arm], expected.predict(log.contexts.astype(float)))


def test_the_regressor_that_was_passed_in_stays_unfitted():
    tree = DecisionTreeRegressor()
    Regression(tree).fit(example_data()).probabilities(example_data().contexts)
    assert not hasattr(tree, "tree_")


def test_an_update_refits_only_the_arms_that_it_teaches():
    class Counting(Ridge):
        fits = 0

        def fit(self, x, y):
            Counting.fits += 1
            return super().fit(x, y)

    log = example_log()
    policy = Regression(Counting()).fit(log)
    policy.probabilities(log.contexts)
    policy.probabilities(log.contexts)
    assert Counting.fits == 3
    policy.update(log.subset(log.actions == 1))
    assert Counting.fits == 3
    policy.probabilities(log.contexts)
    assert Counting.fits == 4


def test_few_rows_give_their_mean_and_none_give_nothing():
    policy = Regression(Ridge(), min_rows=3)
    policy.fit(np.eye(3), [0, 0, 1], [1.0, 3.0, 5.0], arm_names=("a", "b", "c"))
    assert policy.predict_rewards(np.zeros((1, 3))).tolist() == [[2.0, 5.0, -np.inf]]


def test_weights_reach_the_regressor_or_are_refused():
    log = example_log()
    weights = np.where(np.arange(60) % 2 == 0, 1.0, 3.0)
    weighted = LoggedData(log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, weights=weights)
    predicted = Regression(Ridge()).fit(weighted).predict_rewards(log.contexts)
    own = log.actions == 0
    expected = Ridge().fit(log.contexts[own].astype(float), log.rewards[own], sample_weight=weights[own])
    np.testing.assert_allclose(predicted[:, 0], expected.predict(log.contexts.astype(float)))
    with pytest.raises(ValueError, match="KNeighborsRegressor cannot take"):
        Regression(KNeighborsRegressor(2)).fit(weighted).predict_rewards(log.contexts)


def test_settings_of_the_estimator_are_reached_as_in_scikit_learn(tmp_path):
    policy = EpsilonGreedy(Regression("sklearn.tree:DecisionTreeRegressor"))
    policy.set_params(policy__estimator__max_depth=2)
    assert policy.get_params(deep=True)["policy__estimator__max_depth"] == 2
    assert repr(policy) == "EpsilonGreedy(Regression(DecisionTreeRegressor(max_depth=2)))"
    saved = policy.fit(example_data()).save(tmp_path)
    assert load_policy(saved).policy.estimator.max_depth == 2


def test_wrapped_regressions_keep_the_contract():
    check_policy(Softmax(Regression(Ridge()), temperature=0.5), example_data())


def test_what_cannot_be_saved_without_a_pickle_is_refused_with_the_reason(tmp_path):
    class Own(Ridge):
        pass

    with pytest.raises(TypeError, match="only scikit-learn's own estimators can be saved"):
        Regression(Own()).save(tmp_path)
    with pytest.raises(TypeError, match="a parameter is no JSON value"):
        Regression(make_pipeline(StandardScaler(), Ridge())).save(tmp_path)


def test_a_file_cannot_name_a_class_outside_scikit_learn():
    with pytest.raises(ValueError, match="must be one of scikit-learn's own"):
        Regression({"class": "os:system", "params": {}})


@pytest.mark.parametrize(
    ("estimator", "message"),
    [(Ridge, "an instance"), (3, "must be a scikit-learn regressor"), ("sklearn.nothing:Ridge", "does not import")],
)
def test_what_is_no_regressor_is_refused(estimator, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Regression(estimator)
