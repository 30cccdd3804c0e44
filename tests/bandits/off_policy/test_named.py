"""Estimators, reward models and intervals by name."""

import pytest

from bandits import DoublyRobust, LinUCB, estimate
from bandits.off_policy import (
    INTERVALS,
    REWARD_MODELS,
    BootstrapInterval,
    CrossFittedRidge,
    make_interval,
    make_reward_model,
)
from bandits.off_policy.estimators import ClippedIPS, MultiLogger, Slope, make_estimator
from bandits.testing import example_data, example_log


@pytest.mark.parametrize("name", INTERVALS)
def test_every_interval_is_made_by_its_name(name):
    assert type(make_interval(name)) is INTERVALS[name]
    assert name.replace("_", " ") == INTERVALS[name].kind.lower()


@pytest.mark.parametrize("name", REWARD_MODELS)
def test_every_reward_model_is_made_by_its_name(name):
    assert type(make_reward_model(name)) is REWARD_MODELS[name]


def test_names_stand_where_settings_are_models_or_estimators():
    model = make_estimator("doubly_robust(reward_model=cross_fitted_ridge(n_folds=3))").reward_model
    assert model == CrossFittedRidge(n_folds=3)
    assert make_estimator("multi_logger", {"estimator": "clipped_ips(max_weight=4)"}) == MultiLogger(ClippedIPS(4))
    slope = make_estimator("slope(candidates=(doubly_robust, clipped_ips(max_weight=4)), tolerance=1.0)")
    assert slope == Slope((DoublyRobust(), ClippedIPS(4)), 1.0)
    regression = make_reward_model("cross_fitted_regression(regressor='sklearn.linear_model:Ridge', n_folds=2)")
    assert type(regression.regressor).__name__ == "Ridge"


def test_estimate_takes_names_beside_objects():
    policy, log = LinUCB(ucb_width=0.0).fit(example_data(seed=8)), example_log()
    named = estimate(policy, log, estimators=("doubly_robust", ClippedIPS()), intervals=("bootstrap(n_resamples=5)",))
    made = estimate(policy, log, estimators=(DoublyRobust(), ClippedIPS()), intervals=(BootstrapInterval(5),))
    assert named == made
    with pytest.raises(ValueError, match="unknown interval 'wide'; there are delta, bootstrap"):
        estimate(policy, log, intervals=("wide",))
    with pytest.raises(ValueError, match="interval 'delta' has no setting 'n'"):
        make_interval("delta(n=1)")
