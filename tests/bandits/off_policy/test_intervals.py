"""Intervals: closed forms, joint resampling, queries, coverage, refusals."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bandits import IPS, SNIPS, Bootstrap, DirectMethod, DoublyRobust, SelfNormalisedDR
from bandits.off_policy import (
    BootstrapInterval,
    ConstantReward,
    DeltaMethod,
    EmpiricalBernstein,
    GivenPredictions,
    OffPolicyProblem,
    Terms,
)
from bandits.off_policy.estimators import ClippedIPS, RejectionReplay
from bandits.off_policy.intervals import UndefinedIntervalError, degrees_of_freedom, standard_error
from bandits.off_policy.terms import TermSums
from bandits.testing import example_log
from tests.support.enumerated_problem import EnumeratedProblem, random_problem

METHODS = (BootstrapInterval(200), DeltaMethod(), EmpiricalBernstein())


def plain(values, queries=None, **kinds):
    values = np.asarray(values, dtype=float)
    numbers = np.arange(len(values)) if queries is None else np.asarray(queries)
    return Terms(values, np.ones(len(values)), numbers, **kinds)


def test_delta_interval_of_a_symmetric_mean_is_students():
    values = np.random.default_rng(0).permutation(
        np.linspace(-1, 2, 30)
    )  # tails no heavier than the normal distribution's
    expected = stats.t.interval(0.9, 29, values.mean(), stats.sem(values))
    assert DeltaMethod().bounds(plain(values), 0.9) == pytest.approx(expected)


def test_delta_interval_of_a_skewed_mean_undoes_halls_transformation_where_that_widens_it():
    for sign in (1, -1):
        values = sign * np.random.default_rng(0).exponential(size=50)
        terms = plain(values)
        a = stats.skew(values) / np.sqrt(50)
        t = stats.t.ppf(0.95, degrees_of_freedom(terms))
        scaled = [(values.mean() - bound) / standard_error(terms) for bound in DeltaMethod().bounds(terms, 0.9)]
        short, s = scaled if sign > 0 else scaled[::-1]
        assert short == pytest.approx(sign * t)
        assert s + a * s**2 / 3 + a**2 * s**3 / 27 + a / 6 == pytest.approx(-sign * t)


def test_degrees_of_freedom_are_fewer_where_tails_are_heavy():
    values = np.zeros(6)
    values[:2] = -1, 1  # kurtosis 3, the normal distribution's
    assert degrees_of_freedom(plain(values)) == pytest.approx(5)
    values = np.zeros(10)
    values[:2] = -1, 1  # kurtosis 5
    assert degrees_of_freedom(plain(values)) == pytest.approx(20 / (5 - 7 / 9))
    assert degrees_of_freedom(plain(np.eye(50)[0])) < 3
    assert degrees_of_freedom(plain(np.ones(10))) == 9
    assert degrees_of_freedom(plain([0.0, 1.0])) == 1


def test_degrees_of_freedom_match_the_variance_of_the_sample_variance():
    population, q = np.array([0.0, 0.0, 0.0, 1.0, 4.0]), 4  # values of equal probability
    moments = [np.mean((population - population.mean()) ** power) for power in (2, 4)]
    variances = [np.var(sample, ddof=1) for sample in itertools.product(population, repeat=q)]
    kurtosis = moments[1] / moments[0] ** 2
    freedom = 2 * q / (kurtosis - (q - 3) / (q - 1))
    assert np.mean(variances) == pytest.approx(moments[0])
    assert np.var(variances) == pytest.approx(2 * moments[0] ** 2 / freedom)  # as a scaled chi-squared distribution has


def test_standard_error_of_a_ratio_is_the_larger_of_the_robust_and_the_pooled_one():
    larger, lacking = set(), set()
    for seed in range(20):
        problem = random_problem(np.random.default_rng(seed))
        terms = SNIPS().terms(problem)
        w, r, n = problem.weights, problem.log.rewards, 40
        robust = np.sqrt(n / (n - 1) * np.sum(w**2 * (r - terms.value) ** 2)) / w.sum()
        short = max(n - w.sum(), 0.0)  # what weights lack of a mean of 1, on rows as heavy as the worst, or on one
        absent = short * min(w.max(), short)
        pooled = np.sqrt(np.average((r - terms.value) ** 2, weights=w) * (np.sum(w**2) + absent)) / w.sum()
        assert standard_error(terms) == pytest.approx(max(robust, pooled))
        larger.add(robust > pooled)
        lacking.add(absent > 0)
    assert larger == lacking == {True, False}


def test_standard_error_of_a_mean_pools_residuals_weights_and_predictions():
    problem = random_problem(np.random.default_rng(1))
    q = np.random.default_rng(3).normal(size=(40, 3))
    w, n = problem.weights, 40
    direct, residual = (problem.probabilities * q).sum(axis=1), problem.log.rewards - q[problem.taken]
    residual[w > 1.5] = np.average(residual, weights=w)  # no heavy row shows how residuals vary
    terms = problem.terms(w * residual, offset=direct, weights=w)
    mean = np.average(residual, weights=w)
    short = max(n - w.sum(), 0.0)
    absent = short * min(w.max(), short)
    pooled = np.average((residual - mean) ** 2, weights=w) * ((w**2).sum() + absent)
    pooled += mean**2 * (((w - 1) ** 2).sum() + absent)
    assert standard_error(terms) == pytest.approx(np.sqrt(pooled + ((direct - direct.mean()) ** 2).sum()) / n)


def test_standard_error_of_self_normalised_dr_counts_both_parts_together():
    problem = random_problem(np.random.default_rng(2))
    q = np.random.default_rng(3).normal(size=(40, 3))
    w, residual = problem.weights, problem.log.rewards - q[problem.taken]
    direct = (problem.probabilities * q).sum(axis=1)
    ratio = (w * residual).sum() / w.sum()
    influence = (direct - direct.mean()) / 40 + w * (residual - ratio) / w.sum()
    terms = SelfNormalisedDR(GivenPredictions(q)).terms(problem)
    np.testing.assert_allclose(terms.influence, influence, atol=1e-12)
    assert terms.influence.sum() == pytest.approx(0, abs=1e-12)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_influence_is_the_derivative_of_the_value(seed):
    problem = random_problem(np.random.default_rng(seed), n_rows=12)
    terms = SelfNormalisedDR(ConstantReward(0.3)).terms(problem)
    step = 1e-6
    weights = terms.row_weights.copy()
    weights[0] += step
    slope = (replace(terms, row_weights=weights).value - terms.value) / step
    assert terms.influence[0] == pytest.approx(slope, abs=1e-4)


def test_bootstrap_resamples_numerator_and_denominator_together():
    problem = random_problem(np.random.default_rng(4))
    terms = SNIPS().terms(problem)
    drawn = np.random.default_rng(7).integers(40, size=(25, 40))
    w, r = problem.weights, problem.log.rewards
    expected = [(w[i] * r[i]).sum() / w[i].sum() for i in drawn]
    found = TermSums.unstack(Bootstrap(n_resamples=25, seed=7).sums(terms.by_query.stack())).values
    np.testing.assert_allclose(found, [terms.value, *expected])
    low, high = BootstrapInterval(25, seed=7).bounds(terms, 0.8)
    own = np.sqrt(np.square(terms.influence).sum())
    stretch = stats.t.ppf(0.9, degrees_of_freedom(terms)) * standard_error(terms) / (stats.norm.ppf(0.9) * own)
    assert stretch > 1
    percentiles = np.quantile(expected, [0.1, 0.9])
    assert (low, high) == pytest.approx(tuple(terms.value + stretch * (percentiles - terms.value)))


@pytest.mark.parametrize("method", METHODS)
def test_many_intervals_are_those_of_each_estimate_alone(method):
    problem = random_problem(np.random.default_rng(4))
    lone = plain([1.0, 2.0], [0, 0], range=(0.0, 2.0))
    many = [
        SNIPS().terms(problem),
        IPS().terms(problem),
        RejectionReplay().terms(problem),
        lone,
        SNIPS().terms(problem),
    ]
    for together, terms in zip(method.intervals(many, 0.8), many, strict=True):
        alone = method.interval(terms, 0.8)
        assert together.refused == alone.refused
        if alone.refused is None:
            assert (together.low, together.high) == pytest.approx((alone.low, alone.high))


@pytest.mark.parametrize("method", METHODS[:2])
def test_rows_of_one_query_are_one_unit(method):
    values = np.random.default_rng(0).normal(size=20)
    once = method.bounds(plain(values), 0.95)
    doubled = plain(np.repeat(values, 2), np.repeat(np.arange(20), 2))
    assert method.bounds(doubled, 0.95) == pytest.approx(once)
    as_rows = method.bounds(plain(np.repeat(values, 2)), 0.95)
    assert as_rows[1] - as_rows[0] < 0.8 * (once[1] - once[0])


def test_the_order_of_rows_and_queries_does_not_matter():
    values, queries = np.random.default_rng(0).normal(size=12), np.repeat(np.arange(4), 3)
    order = np.random.default_rng(1).permutation(12)
    for method in METHODS[:2]:
        first = method.bounds(plain(values, queries), 0.95)
        assert method.bounds(plain(values[order], queries[order]), 0.95) == pytest.approx(first)


def test_snips_of_a_constant_reward_is_that_constant_without_width():
    log = replace(example_log(), rewards=np.full(60, 0.7))
    problem = OffPolicyProblem(log, np.random.default_rng(0).dirichlet(np.ones(3), size=60))
    terms = SNIPS().terms(problem)
    assert terms.value == pytest.approx(0.7, abs=1e-12)
    for method in METHODS[:2]:
        assert method.bounds(terms, 0.95) == pytest.approx((0.7, 0.7), abs=1e-12)
        assert "would have no width, because the 60 rows that count all agree" in method.interval(terms).refused
    finished = problem.weights * log.rewards / problem.weights.mean()
    assert DeltaMethod().interval(plain(finished)).width > 0.1


def test_empirical_bernstein_is_theorem_4():
    values = np.random.default_rng(0).uniform(-1, 3, size=50)
    terms = plain(values, range=(-1.0, 3.0))
    scaled, log_term = (values + 1) / 4, np.log(2 / 0.025)
    half = 4 * (np.sqrt(2 * scaled.var(ddof=1) * log_term / 50) + 7 * log_term / (3 * 49))
    assert EmpiricalBernstein().bounds(terms, 0.95) == pytest.approx((values.mean() - half, values.mean() + half))


def test_empirical_bernstein_takes_queries_of_equal_size_as_units():
    values = np.random.default_rng(0).uniform(size=20)
    doubled = plain(np.repeat(values, 2), np.repeat(np.arange(20), 2), range=(0.0, 1.0))
    expected = EmpiricalBernstein().bounds(plain(values, range=(0.0, 1.0)), 0.95)
    assert EmpiricalBernstein().bounds(doubled, 0.95) == pytest.approx(expected)


def test_ranges_hold_every_possible_term_and_are_reached():
    tiny = EnumeratedProblem()
    bounds = {"reward_range": (tiny.low, tiny.high), "max_weight": tiny.max_weight}
    for estimator in (IPS(), ClippedIPS(1.5), DoublyRobust(ConstantReward(0.5)), DirectMethod(ConstantReward(0.5))):
        every = [tiny.problem([x], [a], [r], **bounds) for x, a, r, _ in tiny.rows()]
        terms = [estimator.terms(problem) for problem in every]
        values = [t.numerator[0] + (0 if t.offset is None else t.offset[0]) for t in terms]
        low, high = terms[0].range
        assert low <= min(values) + 1e-12
        assert max(values) <= high + 1e-12
        if not isinstance(estimator, ClippedIPS):
            assert (min(values), max(values)) == pytest.approx((low, high))


def test_empirical_bernstein_covers_on_every_sample_size():
    tiny, rng = EnumeratedProblem(), np.random.default_rng(0)
    bounds = {"reward_range": (tiny.low, tiny.high), "max_weight": tiny.max_weight}
    for n_rows in (5, 50, 300):
        for estimator in (IPS(), RejectionReplay(), DoublyRobust(ConstantReward(0.5))):
            missed = 0
            for _ in range(60):
                problem = tiny.draw(n_rows, rng, **bounds)
                try:
                    interval = EmpiricalBernstein().interval(estimator.terms(problem), 0.9)
                except ValueError:
                    continue  # replay kept no row
                missed += interval.refused is None and not interval.low <= tiny.value <= interval.high
            assert missed <= 6


def test_delta_and_bootstrap_cover_about_as_often_as_they_say():
    tiny, rng = EnumeratedProblem(), np.random.default_rng(1)
    hits = np.zeros(2)
    for _ in range(300):
        terms = SNIPS().terms(tiny.draw(300, rng))
        for place, method in enumerate((DeltaMethod(), BootstrapInterval(200))):
            low, high = method.bounds(terms, 0.9)
            hits[place] += low <= tiny.value <= high
    assert (np.abs(hits / 300 - 0.9) < 0.06).all()


@pytest.mark.parametrize(
    ("make_terms", "reason"),
    [
        (lambda p: SNIPS().terms(p), "a ratio of two random sums"),
        (lambda p: IPS().terms(p), "reward_range was not stated"),
        (lambda p: DirectMethod().terms(p), "how wrong the reward model may be"),
        (lambda p: ClippedIPS(1.0).terms(skewed(p)), "the mean of the clipped terms"),
        (lambda p: DoublyRobust().terms(p), "fitted to the log"),
        (lambda p: DoublyRobust(GivenPredictions(np.zeros((60, 3)))).terms(p), "no bounds were stated for the given"),
        (lambda p: IPS().terms(bounded(p, max_weight=None)), "max_weight was not stated"),
        (lambda p: IPS().terms(bounded(p, propensities_estimated=True)), "propensities were estimated"),
        (lambda p: RejectionReplay().terms(bounded(p, propensities_estimated=True)), "propensities were estimated"),
        (lambda p: RejectionReplay().terms(p), "reward_range was not stated"),
        (lambda p: IPS().terms(bounded(p, weights=np.r_[np.ones(59), 2.0])), "queries count differently"),
        (lambda p: plain(np.zeros(3)), "the estimator states no bounds"),
    ],
)
def test_empirical_bernstein_refuses_where_terms_have_no_bounds(make_terms, reason):
    problem = OffPolicyProblem(example_log(), np.full((60, 3), 1 / 3))
    interval = EmpiricalBernstein().interval(make_terms(problem))
    assert interval.low is None
    assert interval.high is None
    assert interval.width is None
    assert reason in interval.refused
    assert reason in str(interval)


def skewed(problem):
    return OffPolicyProblem(problem.log, np.tile([0.6, 0.3, 0.1], (60, 1)))


def bounded(problem, max_weight=3.0, **columns):
    return OffPolicyProblem(replace(problem.log, **columns), problem.probabilities, (-10, 10), max_weight)


@pytest.mark.parametrize("method", METHODS)
def test_one_query_gives_no_interval(method):
    one = plain([1.0, 2.0], [0, 0], range=(0.0, 2.0))
    with pytest.raises(UndefinedIntervalError, match="at least 2 queries"):
        method.bounds(one, 0.95)
    assert method.interval(one).refused == "an interval needs at least 2 queries, and there is 1"


def test_bootstrap_refuses_when_samples_hold_no_row_that_counts():
    weights = np.zeros(30)
    weights[0] = 1.0
    terms = Terms(weights, np.ones(30), np.arange(30), denominator=weights)
    assert "hold no row of positive weight" in BootstrapInterval(100).interval(terms).refused


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="n_resamples"):
        BootstrapInterval(0)
    for wrong in (0.0, 1.0, np.nan):
        with pytest.raises(ValueError, match="confidence"):
            DeltaMethod().interval(plain([1.0, 2.0]), wrong)


def test_an_interval_sums_each_estimates_rows_once(monkeypatch):
    summed = []
    whole = Terms.by_row

    def counted(terms):
        summed.append(1)
        return whole(terms)

    monkeypatch.setattr(Terms, "by_row", counted)
    terms = Terms(np.arange(6.0), np.ones(6), np.arange(6), weights=np.arange(6.0))
    DeltaMethod().interval(terms)
    assert len(summed) == 2  # by query, and in all
