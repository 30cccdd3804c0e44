"""The direct method's interval: refits on redrawn queries, and only where the log does not speak against the model."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import DirectMethod, DoublyRobust
from bandits.off_policy import (
    BootstrapInterval,
    ConstantReward,
    CrossFittedRidge,
    DeltaMethod,
    OffPolicyProblem,
    RefittedBootstrap,
    RewardModel,
    estimate_problem,
)
from bandits.off_policy.estimators import MultiLogger, Slope
from tests.support.enumerated_problem import EnumeratedProblem

PROBLEM = EnumeratedProblem().draw(500, np.random.default_rng(0))


class MeanReward(RewardModel):
    def predict(self, log):
        weights = np.ones(len(log)) if log.weights is None else log.weights
        return np.full((len(log), log.n_arms), np.average(log.rewards, weights=weights))


def test_refits_spread_as_the_model_does():
    even = OffPolicyProblem(PROBLEM.log, np.full((500, 3), 1 / 3))
    own = replace(even.log, propensities=np.full(500, 1 / 3))
    terms = DirectMethod(MeanReward(), n_refits=400).terms(OffPolicyProblem(own, even.probabilities))
    error = own.rewards.std() / np.sqrt(500)  # of the mean, which the model is
    interval = RefittedBootstrap().interval(terms)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * error, rel=0.1)
    assert terms.value == pytest.approx(own.rewards.mean())


def test_only_the_interval_that_refits_is_given_and_by_one_seed():
    first, second = (DirectMethod(CrossFittedRidge(n_folds=2), n_refits=5, seed=3).terms(PROBLEM) for _ in range(2))
    assert RefittedBootstrap().interval(first) == RefittedBootstrap().interval(second)
    for method in (DeltaMethod(), BootstrapInterval(10)):
        assert "how wrong the reward model" in method.interval(first).refused
    found = estimate_problem(PROBLEM, (DirectMethod(n_refits=5),), (RefittedBootstrap(),))["DirectMethod"]
    assert "not its bias" in found.notes[0]
    assert found.low < found.value < found.high


def test_a_model_that_the_log_speaks_against_has_none():
    terms = DirectMethod(ConstantReward(-1.0), n_refits=5).terms(PROBLEM)
    assert terms.notes
    assert "how wrong the reward model" in RefittedBootstrap().interval(terms).refused
    without = replace(DirectMethod().terms(PROBLEM), biased=None)
    assert RefittedBootstrap().interval(without).refused == "nothing was refitted: DirectMethod(n_refits=100) does"


def test_an_estimate_made_of_others_has_no_interval_of_their_refits():
    refitted = DirectMethod(n_refits=3)
    for estimator in (MultiLogger(refitted), Slope((DoublyRobust(), refitted), tolerance=1e3)):
        assert RefittedBootstrap().interval(estimator.terms(PROBLEM)).low is None


def test_rows_of_weight_0_are_not_redrawn():
    rows = [0, 1, 2]
    log = replace(PROBLEM.log.subset(rows), weights=np.array([1.0, 0.0, 0.0]))
    terms = DirectMethod(ConstantReward(0.5), n_refits=20).terms(OffPolicyProblem(log, PROBLEM.probabilities[rows]))
    np.testing.assert_allclose(terms.refits, 0.5)
