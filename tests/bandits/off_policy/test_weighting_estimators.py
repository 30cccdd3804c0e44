"""Estimators that change weights, the unit that is weighed, or the model's fit: enumeration and closed forms."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bandits import IPS, SNIPS, BestFixedArm, DoublyRobust, LoggedData, Uniform
from bandits.off_policy import (
    ConstantReward,
    CrossFittedRidge,
    DeltaMethod,
    GivenPredictions,
    OffPolicyProblem,
    RewardModel,
    mixture_log,
)
from bandits.off_policy.estimators import (
    AdditiveSlate,
    BalancedIPS,
    MarginalisedIPS,
    MoreRobustDR,
    MultiLogger,
    RejectionReplay,
    ShrunkDR,
    SubGaussianDR,
    SubGaussianIPS,
    SwitchDR,
)
from bandits.off_policy.standard_error import standard_error
from bandits.testing import example_log
from tests.support.enumerated_problem import EnumeratedProblem, random_problem

PROBLEM = EnumeratedProblem()
MODEL = np.array([[0.3, -0.2, 1.0], [0.0, 0.4, 0.1]])  # wrong for PROBLEM


def expectation(make_estimator, problem=PROBLEM, n_rows=2):
    total = 0.0
    for one, probability in problem.logs(n_rows):
        total += probability * make_estimator(one.log.contexts.argmax(axis=1)).value(one)
    return total


def expected_with(weights, model):
    """What the mean of the model's value plus weighted residuals is on average, for weights (contexts, arms)."""
    residuals = PROBLEM.logging * weights * (PROBLEM.mean_rewards - model)
    return PROBLEM.context_probabilities @ (PROBLEM.evaluation * model + residuals).sum(axis=1)


W = PROBLEM.evaluation / PROBLEM.logging


@pytest.mark.parametrize(
    ("make", "weights"),
    [
        (lambda model: SwitchDR(1.5, model), np.where(W <= 1.5, W, 0)),
        (lambda model: ShrunkDR(2.0, model), 2 * W / (W**2 + 2)),
        (lambda model: SubGaussianDR(0.3, model), W / (0.7 + 0.3 * W)),
    ],
)
def test_an_estimator_of_changed_weights_has_the_expectation_of_its_formula(make, weights):
    found = expectation(lambda contexts: make(GivenPredictions(MODEL[contexts])))
    assert found == pytest.approx(expected_with(weights, MODEL), abs=1e-12)
    assert abs(found - PROBLEM.value) > 0.01
    assert expectation(lambda contexts: make(GivenPredictions(PROBLEM.mean_rewards[contexts]))) == pytest.approx(
        PROBLEM.value, abs=1e-12
    )


def test_sub_gaussian_ips_has_the_expectation_of_its_formula():
    expected = expected_with(W / (0.8 + 0.2 * W), 0 * MODEL)
    assert expectation(lambda contexts: SubGaussianIPS(0.2)) == pytest.approx(expected, abs=1e-12)


def test_settings_at_their_ends_give_the_estimators_between_which_they_lie():
    problem = random_problem(np.random.default_rng(0))
    model = GivenPredictions(np.random.default_rng(1).normal(size=problem.probabilities.shape))
    whole, alone = DoublyRobust(model).value(problem), problem.mean(problem.expected(problem.predictions(model)))
    assert SwitchDR(1e6, model).value(problem) == pytest.approx(whole)
    assert ShrunkDR(1e12, model).value(problem) == pytest.approx(whole)
    assert ShrunkDR(1e-12, model).value(problem) == pytest.approx(alone)
    assert SubGaussianDR(0.0, model).value(problem) == pytest.approx(whole)
    assert SubGaussianIPS(0.0).value(problem) == pytest.approx(IPS().value(problem))
    taken = problem.weights > 0
    assert SubGaussianIPS(1.0).value(problem) == pytest.approx((problem.log.rewards * taken).mean())


def test_the_default_smoothing_falls_with_the_root_of_the_rows():
    rng = np.random.default_rng(2)
    sums = []
    for n_rows in (400, 40_000):
        problem = PROBLEM.draw(n_rows, rng)
        w = problem.weights
        smoothing = np.sqrt(2 * np.log(20) / (3 * n_rows * np.square(w).mean()))
        expected = (w / (1 - smoothing + smoothing * w) * problem.log.rewards).mean()
        assert SubGaussianIPS().value(problem) == pytest.approx(expected)
        sums.append(smoothing)
    assert sums[0] / sums[1] == pytest.approx(10, rel=0.1)


def test_the_default_smoothing_takes_a_row_of_weight_2_for_two_rows():
    problem = random_problem(np.random.default_rng(2))
    rows = np.repeat(np.arange(40), np.arange(40) % 3)
    repeated = OffPolicyProblem(problem.log.subset(rows), problem.probabilities[rows])
    weighted = OffPolicyProblem(replace(problem.log, weights=np.arange(40.0) % 3), problem.probabilities)
    assert SubGaussianIPS().value(weighted) == pytest.approx(SubGaussianIPS().value(repeated))


@pytest.mark.parametrize("estimator", [SwitchDR(1.5), ShrunkDR(), SubGaussianIPS(), SubGaussianDR(), BalancedIPS()])
def test_where_the_bias_shows_in_no_interval_there_is_none(estimator):
    interval = DeltaMethod().interval(estimator.terms(PROBLEM.draw(500, np.random.default_rng(3))))
    assert interval.refused is not None
    assert interval.low is None


def test_switch_dr_has_an_interval_where_no_weight_can_be_too_large():
    problem = PROBLEM.draw(500, np.random.default_rng(3), max_weight=PROBLEM.max_weight)
    terms = SwitchDR(PROBLEM.max_weight).terms(problem)
    assert terms.biased is None
    assert terms.notes == ()
    assert terms.value == DoublyRobust().value(problem)


class OthersMean(RewardModel):
    def predict(self, log):
        others = log.weights * (1 - np.eye(len(log)))
        totals = others.sum(axis=1)
        means = np.divide(others @ log.rewards, totals, out=np.zeros(len(log)), where=totals > 0)
        return np.tile(means[:, None], (1, log.n_arms))


def test_more_robust_dr_is_unbiased_and_fits_where_variance_is():
    assert expectation(lambda contexts: MoreRobustDR(OthersMean())) == pytest.approx(PROBLEM.value, abs=1e-9)
    seen = []

    class Watching(ConstantReward):
        def predict(self, log):
            seen.append(log.weights)
            return super().predict(log)

    problem = random_problem(np.random.default_rng(4))
    assert MoreRobustDR(Watching(0.7)).value(problem) == pytest.approx(DoublyRobust(ConstantReward(0.7)).value(problem))
    p = problem.log.propensities
    formula = problem.weights * p * (1 - p) / p**2
    np.testing.assert_allclose(seen[0], formula)


def test_more_robust_dr_is_doubly_robust_where_the_propensities_leave_no_variance():
    log = replace(random_problem(np.random.default_rng(4)).log, propensities=np.ones(40))
    problem = OffPolicyProblem(log, np.eye(3)[log.actions])
    assert MoreRobustDR().value(problem) == DoublyRobust().value(problem)


def test_more_robust_dr_has_bounds_of_its_terms_where_the_doubly_robust_one_has_them():
    problem = PROBLEM.draw(60, np.random.default_rng(4), reward_range=(-1.0, 2.0), max_weight=PROBLEM.max_weight)
    for model in (CrossFittedRidge(), ConstantReward(0.5)):
        assert MoreRobustDR(model).terms(problem).range == DoublyRobust(model).terms(problem).range


def test_balanced_ips_finds_the_weights_without_propensities():
    rng = np.random.default_rng(5)
    n = 20_000
    kind = rng.integers(2, size=n)
    actions = (rng.random(n) < np.array([0.2, 0.7])[kind]).astype(int)
    rewards = np.array([[1.0, 2.0], [0.0, -1.0]])[kind, actions] + rng.normal(size=n)
    log = LoggedData(np.eye(2)[kind], actions, rewards, np.ones(n), ("a", "b"))  # propensities not known
    problem = OffPolicyProblem(log, np.array([[0.1, 0.9], [0.8, 0.2]])[kind])
    truth = (1.9 - 0.2) / 2
    assert BalancedIPS().value(problem) == pytest.approx(truth, abs=0.05)
    assert abs(SNIPS().value(problem) - truth) > 0.2


class TwoAlike(EnumeratedProblem):
    """Arms b and c bring the same: what they have in common decides."""

    win_probabilities = np.array([[0.1, 0.5, 0.5], [0.4, 0.2, 0.2]])

    def problem(self, x, a, r, **bounds):
        problem = super().problem(x, a, r, **bounds)
        return OffPolicyProblem(
            replace(problem.log, action_probabilities=self.logging[x]), problem.probabilities, **bounds
        )


def test_marginalised_ips_is_unbiased_with_smaller_weights_where_the_embedding_decides():
    estimator = MarginalisedIPS({"a": "small", "b": "large", "c": "large"})
    assert expectation(lambda contexts: estimator, TwoAlike()) == pytest.approx(TwoAlike().value, abs=1e-12)
    problem = TwoAlike().draw(200, np.random.default_rng(6))
    assert estimator.terms(problem).weights.max() < problem.weights.max()
    own = MarginalisedIPS({"a": 1, "b": 2, "c": 3})
    assert own.value(problem) == pytest.approx(IPS().value(problem))


def test_marginalised_ips_refuses_what_it_cannot_do():
    whole, bare = (kind.draw(20, np.random.default_rng(6)) for kind in (TwoAlike(), PROBLEM))
    with pytest.raises(ValueError, match="MarginalisedIPS needs embeddings"):
        MarginalisedIPS().value(whole)
    with pytest.raises(ValueError, match="embeddings must have every arm of the log, and arm 'c' is missing"):
        MarginalisedIPS({"a": 1, "b": 2}).value(whole)
    with pytest.raises(ValueError, match="has no action_probabilities"):
        MarginalisedIPS({"a": 1, "b": 2, "c": 3}).value(bare)
    with pytest.raises(TypeError, match="embeddings must be a mapping"):
        MarginalisedIPS(["a"])


LOGGED = np.array([[0.7, 0.3], [0.4, 0.6]])  # (slots, arms)
EVALUATED = np.array([[0.1, 0.9], [0.8, 0.2]])
PARTS = np.array([[1.0, 3.0], [-2.0, 0.5]])


def slates(all_arms):
    arms = np.array(all_arms)  # (slates, slots)
    slots = np.tile([0, 1], len(arms))
    actions = arms.ravel()
    log = LoggedData(
        np.eye(2)[slots],
        actions,
        np.repeat(PARTS[[0, 1], arms].sum(axis=1), 2),
        LOGGED[slots, actions],
        ("a", "b"),
        query_ids=tuple(f"slate {i // 2}" for i in range(len(slots))),
    )
    return OffPolicyProblem(log, EVALUATED[slots])


def test_additive_slate_is_unbiased_over_every_possible_slate():
    value = (EVALUATED * PARTS).sum()
    total = 0.0
    for arms in product(product(range(2), repeat=2), repeat=2):
        probability = LOGGED[[0, 1], np.array(arms)].prod()
        total += probability * AdditiveSlate().value(slates(arms))
    assert total == pytest.approx(value, abs=1e-12)


def test_additive_slate_takes_slates_of_several_lengths_and_is_ips_on_slates_of_one_slot():
    problem = slates([(0, 1), (1, 0)])
    rows = [0, 1, 2]
    short = OffPolicyProblem(problem.log.subset(rows), problem.probabilities[rows])
    r, w = short.log.rewards, short.weights
    assert AdditiveSlate().value(short) == pytest.approx((r[0] * (w[0] + w[1] - 1) + r[2] * w[2]) / 2)
    single = random_problem(np.random.default_rng(7))
    assert AdditiveSlate().value(single) == pytest.approx(IPS().value(single))
    rewards = problem.log.rewards.copy()
    rewards[3] += 1
    with pytest.raises(ValueError, match="needs the slate's reward on each of its rows: row 3 has"):
        AdditiveSlate().value(OffPolicyProblem(replace(problem.log, rewards=rewards), problem.probabilities))
    weighted = replace(problem.log, weights=np.array([1.0, 1.0, 1.0, 2.0]))
    with pytest.raises(ValueError, match="all rows of a query must have one weight"):
        AdditiveSlate().value(OffPolicyProblem(weighted, problem.probabilities))


def test_slates_of_several_lengths_that_the_policy_itself_logged_have_the_width_of_their_mean():
    rng = np.random.default_rng(3)
    queries = np.repeat(np.arange(60), rng.integers(1, 4, size=60))
    n, rewards = len(queries), rng.normal(size=60)
    ids = tuple(f"q{query}" for query in queries)
    log = LoggedData(np.ones((n, 1)), np.arange(n) % 2, rewards[queries], np.full(n, 0.5), ("a", "b"), query_ids=ids)
    terms = AdditiveSlate().terms(OffPolicyProblem(log, np.full((n, 2), 0.5)))
    assert terms.is_ratio
    assert standard_error(terms) == pytest.approx(rewards.std(ddof=1) / np.sqrt(60))


def test_multi_logger_weighs_each_logging_policy_by_the_decisions_that_it_knows():
    problem = random_problem(np.random.default_rng(8), 60)
    domains = tuple("one" if row % 3 else "other" for row in range(60))
    split = OffPolicyProblem(replace(problem.log, domains=domains), problem.probabilities)
    for inner in (IPS(), DoublyRobust(ConstantReward(0.4))):
        own = inner.terms(split)
        values = own.numerator + (0 if own.offset is None else own.offset)
        value = known = 0.0
        for name in ("one", "other"):
            rows = np.array(domains) == name
            size = split.weights[rows].sum() ** 2 / np.square(split.weights[rows]).sum()
            value, known = value + size * values[rows].mean(), known + size
        assert MultiLogger(inner).value(split) == pytest.approx(value / known)
        assert MultiLogger(inner).value(problem) == pytest.approx(inner.value(problem))
    with pytest.raises(ValueError, match="needs the mean of a term a row, and SNIPS is none"):
        MultiLogger(SNIPS()).value(split)
    with pytest.raises(ValueError, match="RejectionReplay is none"):
        MultiLogger(RejectionReplay()).value(split)
    with pytest.raises(TypeError, match="estimator must be an OffPolicyEstimator"):
        MultiLogger(IPS)


def test_multi_logger_is_less_noisy_where_one_logging_policy_hardly_acts_as_the_evaluated_one_does():
    rng = np.random.default_rng(9)
    likely = np.where(np.arange(4000) % 2 == 0, 0.9, 0.02)  # of arm b, by logger
    actions = (rng.random(4000) < likely).astype(int)
    propensities = np.where(actions == 1, likely, 1 - likely)
    rewards = actions + rng.normal(size=4000)
    log = LoggedData(np.ones((4000, 1)), actions, rewards, propensities, ("a", "b"), domains=("good", "poor") * 2000)
    problem = OffPolicyProblem(log, np.tile([0.1, 0.9], (4000, 1)))
    widths = [DeltaMethod().interval(one.terms(problem)).width for one in (IPS(), MultiLogger())]
    assert widths[1] < widths[0] / 2
    interval = DeltaMethod().interval(MultiLogger().terms(problem))
    assert interval.low < 0.9 < interval.high


def test_a_mixture_of_logging_policies_is_unbiased_with_bounded_weights():
    contexts, names = np.ones((1, 1)), ("a", "b")
    favourite = BestFixedArm().fit(LoggedData(np.ones((2, 1)), [0, 1], [1.0, 0.0], [0.5, 0.5], names))
    policies = {"uniform": Uniform(names), "favourite": favourite}
    rewards = np.array([2.0, 5.0])
    total, largest = 0.0, 0.0
    evaluated = np.array([[0.3, 0.7]])
    for first in range(2):
        logs = {
            "uniform": LoggedData(contexts, [first], [rewards[first]], [0.5], names),
            "favourite": LoggedData(contexts, [0], [rewards[0]], [1.0], names),
        }
        mixed = mixture_log(logs, policies)
        assert mixed.domains == ("uniform", "favourite")
        problem = OffPolicyProblem(mixed, np.tile(evaluated, (2, 1)))
        total += 0.5 * IPS().value(problem)
        largest = max(largest, problem.weights.max())
    assert total == pytest.approx(float(evaluated[0] @ rewards))
    assert largest == pytest.approx(0.7 / 0.25)


def test_a_mixture_takes_a_row_of_weight_2_for_two_rows():
    names = ("a", "b")
    favourite = BestFixedArm().fit(LoggedData(np.ones((2, 1)), [0, 1], [1.0, 0.0], [0.5, 0.5], names))
    policies = {"uniform": Uniform(names), "favourite": favourite}
    first = LoggedData(np.ones((2, 1)), [0, 0], [1.0, 1.0], [0.5, 0.5], names, weights=np.ones(2))
    second = LoggedData(np.ones((1, 1)), [0], [1.0], [1.0], names, weights=np.array([2.0]))
    mixed = mixture_log({"uniform": first, "favourite": second}, policies)
    np.testing.assert_allclose(mixed.propensities, 0.75)


def test_a_mixture_refuses_policies_that_did_not_log():
    log = example_log()
    with pytest.raises(ValueError, match="policies must be one for each log"):
        mixture_log({"uniform": log}, {"other": Uniform(log.arm_names)})
    with pytest.raises(ValueError, match=r"row \d+ of log 'uniform' has the propensity 0.333333, and its policy gives"):
        mixture_log({"uniform": log}, {"uniform": BestFixedArm().fit(log)})
