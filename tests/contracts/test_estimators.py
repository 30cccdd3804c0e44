"""Every off-policy estimator keeps the contract, and the contract catches estimators that do not."""

from dataclasses import dataclass

import numpy as np
import pytest

from bandits import DirectMethod, DoublyRobust
from bandits.off_policy import ConstantReward, CrossFittedRidge, OffPolicyProblem
from bandits.off_policy.estimators import (
    ESTIMATORS,
    MarginalisedIPS,
    OffPolicyEstimator,
    RejectionReplay,
    make_estimator,
)
from bandits.testing import check_estimator, example_log

ARMS = ("a", "b", "c", "arm_a", "arm_b", "arm_c")  # of the example problems
CASES = {
    **ESTIMATORS,
    "marginalised_ips": lambda: MarginalisedIPS({arm: arm for arm in ARMS}),
    "direct_method in two folds": lambda: DirectMethod(CrossFittedRidge(n_folds=2, prior_precision=0.3)),
    "doubly_robust with a constant": lambda: DoublyRobust(ConstantReward(0.5)),
    "rejection_replay of another seed, as an instance": RejectionReplay(seed=3),
}


@pytest.mark.parametrize("make_estimator", CASES.values(), ids=CASES.keys())
def test_estimator_keeps_the_contract(make_estimator):
    check_estimator(make_estimator)


@pytest.mark.parametrize("make_estimator", CASES.values(), ids=CASES.keys())
def test_estimator_keeps_the_contract_on_another_log(make_estimator):
    log = example_log()
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), size=len(log))
    check_estimator(make_estimator, OffPolicyProblem(log, probabilities, reward_range=(-10, 10), max_weight=3.0))


@dataclass(frozen=True)
class Good(OffPolicyEstimator):
    """Each broken estimator below spoils it in one way."""

    def terms(self, problem):
        return problem.terms(problem.weights * problem.log.rewards, range=problem.weighted_range(problem.max_weight))


class Nameless(Good):
    name = ""


class TooNarrow(Good):
    def terms(self, problem):
        return problem.terms(problem.weights * problem.log.rewards, range=(0.0, 0.5))


class RangeOfARatio(Good):
    def terms(self, problem):
        return problem.terms(problem.weights * problem.log.rewards, problem.weights, range=(0.0, 3.0))


class Changing(Good):
    def terms(self, problem):
        array = problem.weights.base
        array.flags.writeable = True
        array *= 1.01
        return super().terms(problem)


class OtherValue(Good):
    def value(self, problem):
        return super().value(problem) + 1


class GlobalNoise(Good):
    def terms(self, problem):
        np.random.rand()  # noqa: NPY002
        return super().terms(problem)


class OwnNoise(Good):
    def terms(self, problem):
        noise = np.random.default_rng().normal(size=len(problem.log))
        return problem.terms(problem.weights * problem.log.rewards + 1e-3 * noise)


class FirstArm(Good):
    def terms(self, problem):
        return problem.terms(problem.weights * problem.log.rewards + 0.01 * problem.probabilities[:, 0])


class ForgetsWeights(Good):
    def terms(self, problem):
        extra = 0.0 if problem.log.weights is None else 0.1
        return problem.terms(problem.weights * problem.log.rewards + extra)


class Unweighted(Good):
    def terms(self, problem):
        return problem.terms(problem.log.rewards.copy())


class Zero(Good):
    def terms(self, problem):
        return problem.terms(np.zeros(len(problem.log)))


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Nameless, "name must be"),
        (TooNarrow, "keep the range"),
        (RangeOfARatio, "ratio has no range"),
        (Changing, "must not be changed"),
        (OtherValue, "value must be that of the terms"),
        (GlobalNoise, "global generator"),
        (OwnNoise, "the same log must give the same value|value must be that of the terms"),
        (FirstArm, "order of the arms"),
        (ForgetsWeights, "weights of 1 must change nothing"),
        (Zero, "constant reward"),
        (Unweighted, "4,000 rows"),
    ],
)
def test_the_contract_catches(broken, message):
    with pytest.raises(AssertionError, match=message):
        check_estimator(broken)


def test_the_good_one_passes():
    check_estimator(Good)


def test_estimators_are_made_by_name_and_settings():
    with pytest.raises(
        ValueError, match=r"estimator '.*:NeedsPower' needs the setting power: tests.*:NeedsPower\(power=...\)"
    ):
        make_estimator("tests.support.estimator_with_a_setting:NeedsPower")
    assert make_estimator("tests.support.estimator_with_a_setting:NeedsPower", {"power": 2.0}).power == 2.0
    assert make_estimator("snips") == ESTIMATORS["snips"]()
    assert make_estimator("clipped_ips", {"max_weight": 3.0}).name == "ClippedIPS(3)"
    assert type(make_estimator("bandits.off_policy.estimators.ips:IPS")) is ESTIMATORS["ips"]
    with pytest.raises(ValueError, match="unknown estimator 'IPW'; there are ips, clipped_ips"):
        make_estimator("IPW")
    with pytest.raises(ValueError, match="estimator 'ips' has no setting 'max_weight'"):
        make_estimator("ips", {"max_weight": 3.0})
    with pytest.raises(TypeError, match="subclass"):
        make_estimator("bandits.off_policy.terms:Terms")
