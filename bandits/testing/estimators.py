"""The rules that every off-policy estimator must keep: `check_estimator`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from arms.testing.assertions import TOLERANCE, global_generators_untouched, hold, instance_of, near
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.off_policy.estimators.estimator import OffPolicyEstimator
from bandits.off_policy.intervals import DeltaMethod
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.epsilon_greedy import EpsilonGreedy
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.uniform import Uniform

MakeEstimator = Callable[[], OffPolicyEstimator]
EstimatorOrMaker = OffPolicyEstimator | MakeEstimator

_NEAR = 0.1  # of the rewards' spread: what an estimator may be off with 4,000 rows and full overlap


def check_estimator(estimator: EstimatorOrMaker, *problems: OffPolicyProblem) -> None:
    """Run every check on an estimator, or on what a function makes.

    Args:
        estimator: an estimator; or a function (or class) that returns a new one, each time with the same parameters.
        problems: at least 20 rows and two arms each; without any, a small synthetic one.

    Raises:
        AssertionError: naming the rule that does not hold.
    """

    def make() -> OffPolicyEstimator:
        return instance_of(estimator, OffPolicyEstimator, "an estimator")

    for problem in problems or (example_problem(60),):
        check_terms(make, problem)
        check_determinism(make, problem)
        check_arm_permutation(make, problem)
        check_row_weights(make, problem)
        check_own_log_of_constant_reward(make, problem)
    check_consistency(make)


def example_problem(n_rows: int, seed: int = 5) -> OffPolicyProblem:
    """Return a uniform log of linear rewards in [0, 1], and a policy that mostly takes the better arms."""
    log, policy, _ = _example(n_rows, seed)
    return OffPolicyProblem.of(policy, log, reward_range=(0.0, 1.0), max_weight=3.0)


def _example(n_rows: int, seed: int) -> tuple[LoggedData, EpsilonGreedy, float]:
    """Return a log, the policy in question and its true value on the log's contexts."""
    rng = np.random.default_rng(seed)
    contexts = rng.uniform(-1, 1, size=(n_rows, 3)).astype(np.float32)
    slopes = np.array([[0.1, -0.1, 0.0], [0.05, 0.1, -0.1], [0.1, 0.1, 0.1]])
    rewards = np.clip(0.5 + contexts @ slopes.T + rng.uniform(-0.2, 0.2, size=(n_rows, 3)), 0, 1)
    data = FullInformationData(contexts, rewards, ("b", "c", "a"))
    training = data.subset(np.arange(20))
    policy = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.2).fit(training)
    return data.log_with(Uniform(), rng), policy, data.value(policy)


def check_terms(make_estimator: MakeEstimator, problem: OffPolicyProblem) -> None:
    """Terms are float64, keep the range they state, and leave the log as it is."""
    before = problem.weights.copy(), problem.log.rewards.copy(), problem.probabilities.copy()
    estimator = make_estimator()
    hold(isinstance(estimator.name, str) and bool(estimator.name), "name must be a non-empty string")
    terms = estimator.terms(problem)
    hold(terms.numerator.dtype == np.float64, f"terms must be float64, got {terms.numerator.dtype}")
    hold(terms.n_queries <= int(problem.queries.max()) + 1, "terms must not count more queries than the log holds")
    if terms.denominator is not None:
        hold(bool((terms.denominator >= 0).all()), "denominators must be >= 0")
    if not isinstance(terms.range, str):
        low, high = terms.range
        values = terms.numerator if terms.offset is None else terms.numerator + terms.offset
        inside = (values >= low - TOLERANCE) & (values <= high + TOLERANCE)
        hold(not terms.is_ratio, "a ratio has no range of terms")
        hold(bool(inside.all()), "terms must keep the range that they state")
    after = problem.weights, problem.log.rewards, problem.probabilities
    hold(all(map(np.array_equal, before, after)), "the problem's arrays must not be changed")
    hold(near(estimator.value(problem), terms.value), "value must be that of the terms")


def check_determinism(make_estimator: MakeEstimator, problem: OffPolicyProblem) -> None:
    """Two estimators of the same parameters agree, and no global generator is touched."""
    fresh = OffPolicyProblem(problem.log, problem.probabilities, problem.reward_range, problem.max_weight)
    with global_generators_untouched():
        same = make_estimator().value(problem) == make_estimator().value(fresh)
    hold(same, "the same log must give the same value")


def check_arm_permutation(make_estimator: MakeEstimator, problem: OffPolicyProblem) -> None:
    """Check that listing the arms in another order changes nothing."""
    log = problem.log
    shuffled = (*log.arm_names[1:], log.arm_names[0])
    columns = [log.arm_names.index(name) for name in shuffled]
    other = OffPolicyProblem(
        log.with_arms(shuffled), problem.probabilities[:, columns], problem.reward_range, problem.max_weight
    )
    same = near(make_estimator().value(problem), make_estimator().value(other))
    hold(same, "the value must not depend on the order of the arms")


def check_row_weights(make_estimator: MakeEstimator, problem: OffPolicyProblem) -> None:
    """Rows of weight 1 are rows without a weight."""
    if problem.log.weights is not None:
        return
    log = replace(problem.log, weights=np.ones(len(problem.log)))
    other = OffPolicyProblem(log, problem.probabilities, problem.reward_range, problem.max_weight)
    same = near(make_estimator().value(problem), make_estimator().value(other))
    hold(same, "weights of 1 must change nothing: use row_weights, as problem.terms does")


def check_own_log_of_constant_reward(make_estimator: MakeEstimator, problem: OffPolicyProblem) -> None:
    """Check that a policy that logged a constant reward itself is worth that reward."""
    log = problem.log
    k = log.n_arms
    rng = np.random.default_rng(2)
    actions = rng.integers(k, size=len(log))
    even = np.full((len(log), k), 1 / k)
    own = LoggedData(
        log.contexts, actions, np.full(len(log), 0.75), even[:, 0], log.arm_names, action_probabilities=even
    )
    uniform = OffPolicyProblem(own, even, (0.0, 1.0), 1.0)
    hold(
        near(make_estimator().value(uniform), 0.75, 1e-6),
        "the logging policy's own value on a constant reward must be that reward",
    )


def check_consistency(make_estimator: MakeEstimator) -> None:
    """With plenty of rows, full overlap and linear rewards the value is near the true one."""
    log, policy, value = _example(4000, seed=6)
    problem = OffPolicyProblem.of(policy, log, reward_range=(0.0, 1.0), max_weight=3.0)
    found = make_estimator().value(problem)
    hold(
        abs(found - value) <= _NEAR * float(log.rewards.std()) + 0.005,
        f"with 4,000 rows the value should be near the true {value:.4f}, got {found:.4f}",
    )
    terms = make_estimator().terms(problem)
    interval = DeltaMethod().interval(terms)
    hold((interval.refused is None) == (terms.biased is None), "an interval should be defined unless terms are biased")
