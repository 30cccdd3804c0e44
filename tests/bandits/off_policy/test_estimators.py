"""Off-policy estimators: enumeration, closed forms, identities between them."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandits import (
    IPS,
    SNIPS,
    DirectMethod,
    DoublyRobust,
    EpsilonGreedy,
    LinUCB,
    LoggedData,
    SelfNormalisedDR,
    Uniform,
)
from bandits.off_policy import ConstantReward, CrossFittedRidge, GivenPredictions, OffPolicyProblem, Terms, reward_model
from bandits.off_policy.estimators import ClippedIPS, RejectionReplay
from bandits.testing import example_data, example_log
from tests.support.enumerated_problem import EnumeratedProblem, random_problem

PROBLEM = EnumeratedProblem()
ALL = (IPS(), SNIPS(), ClippedIPS(2.0), DirectMethod(), DoublyRobust(), SelfNormalisedDR(), RejectionReplay())


def expectation(estimator, n_rows):
    return sum(probability * estimator.value(problem) for problem, probability in PROBLEM.logs(n_rows))


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_ips_is_unbiased_over_every_possible_log(n_rows):
    assert expectation(IPS(), n_rows) == pytest.approx(PROBLEM.value, abs=1e-12)


@pytest.mark.parametrize("model", [ConstantReward(0.0), ConstantReward(-3.7)])
def test_doubly_robust_is_unbiased_whatever_the_model(model):
    assert expectation(DoublyRobust(model), 2) == pytest.approx(PROBLEM.value, abs=1e-12)


def test_doubly_robust_is_unbiased_with_wrong_propensities_and_the_true_model():
    total = 0.0
    for problem, probability in PROBLEM.logs(2):
        contexts = problem.log.contexts.argmax(axis=1)
        wrong = replace(problem.log, propensities=np.sqrt(problem.log.propensities))
        model = GivenPredictions(PROBLEM.mean_rewards[contexts])
        total += probability * DoublyRobust(model).value(OffPolicyProblem(wrong, problem.probabilities))
    assert total == pytest.approx(PROBLEM.value, abs=1e-12)


def test_clipped_ips_has_the_bias_of_the_clipped_weights():
    weights = np.minimum(PROBLEM.evaluation / PROBLEM.logging, 1.5)
    expected = PROBLEM.context_probabilities @ (PROBLEM.logging * weights * PROBLEM.mean_rewards).sum(axis=1)
    assert expectation(ClippedIPS(1.5), 2) == pytest.approx(expected, abs=1e-12)
    assert abs(expected - PROBLEM.value) > 0.05


@pytest.mark.parametrize("stated", [True, False])
def test_rejection_replay_keeps_actions_by_the_evaluated_policys_distribution(stated):
    rng = np.random.default_rng(0)
    bound = PROBLEM.max_weight
    # A row is kept when u * M < w: its probability is w / M exactly, so the kept distribution can be listed.
    kept = PROBLEM.context_probabilities[:, None] * PROBLEM.logging * (PROBLEM.evaluation / PROBLEM.logging) / bound
    assert kept.sum() == pytest.approx(1 / bound, abs=1e-12)
    np.testing.assert_allclose(kept * bound, PROBLEM.context_probabilities[:, None] * PROBLEM.evaluation, atol=1e-12)
    problem = PROBLEM.draw(40_000, rng, max_weight=bound if stated else None)
    if not stated:
        whole = PROBLEM.logging[problem.log.contexts.argmax(axis=1)]
        problem = OffPolicyProblem(replace(problem.log, action_probabilities=whole), problem.probabilities)
    assert RejectionReplay().bound(problem) == (pytest.approx(bound), True)
    terms = RejectionReplay(seed=1).terms(problem)
    assert len(terms.numerator) / 40_000 == pytest.approx(1 / bound, abs=5 * np.sqrt(0.25 / 40_000))
    assert terms.value == pytest.approx(PROBLEM.value, abs=5 * 1.5 / np.sqrt(len(terms.numerator)))


def test_rejection_replay_on_a_uniform_log_keeps_exactly_the_matches_of_a_deterministic_policy():
    log = example_log()
    policy = LinUCB(ucb_width=0.0).fit(example_data(seed=8))
    problem = OffPolicyProblem.of(policy, log)
    matches = policy.probabilities(log.contexts).argmax(axis=1) == log.actions
    terms = RejectionReplay().terms(problem)
    np.testing.assert_array_equal(terms.numerator, log.rewards[matches])


def test_rejection_replay_notes_a_bound_taken_from_the_logged_weights():
    problem = random_problem(np.random.default_rng(1))
    terms = RejectionReplay().terms(problem)
    assert any("state max_weight" in note for note in terms.notes)
    assert terms.range == "max_weight was not stated"


@given(st.integers(0, 10_000), st.integers(2, 4), st.integers(5, 40))
@settings(max_examples=30, deadline=None)
def test_identities_between_estimators(seed, n_arms, n_rows):
    problem = random_problem(np.random.default_rng(seed), n_rows, n_arms)
    log, weights = problem.log, problem.weights
    predictions = np.random.default_rng(seed + 1).normal(size=(n_rows, n_arms))
    model = GivenPredictions(predictions)
    taken = predictions[np.arange(n_rows), log.actions]
    direct = (problem.probabilities * predictions).sum(axis=1).mean()
    assert IPS().value(problem) == pytest.approx((weights * log.rewards).mean())
    assert SNIPS().value(problem) == pytest.approx((weights * log.rewards).sum() / weights.sum())
    assert DirectMethod(model).value(problem) == pytest.approx(direct)
    corrections = weights * (log.rewards - taken)
    assert DoublyRobust(model).value(problem) == pytest.approx(direct + corrections.mean())
    assert SelfNormalisedDR(model).value(problem) == pytest.approx(direct + corrections.sum() / weights.sum())
    assert DoublyRobust(ConstantReward()).value(problem) == pytest.approx(IPS().value(problem), abs=1e-12)
    assert SelfNormalisedDR(ConstantReward()).value(problem) == pytest.approx(SNIPS().value(problem), abs=1e-12)
    assert ClippedIPS(1e9).value(problem) == IPS().value(problem)
    assert log.rewards.min() - 1e-12 <= SNIPS().value(problem) <= log.rewards.max() + 1e-12


@given(st.integers(0, 10_000), st.floats(-5, 5))
@settings(max_examples=20, deadline=None)
def test_self_normalised_and_model_estimates_move_with_the_rewards_and_ips_does_not(seed, shift):
    problem = random_problem(np.random.default_rng(seed))
    moved = OffPolicyProblem(replace(problem.log, rewards=problem.log.rewards + shift), problem.probabilities)
    for estimator in (SNIPS(), DirectMethod(), DoublyRobust(), SelfNormalisedDR(), RejectionReplay()):
        assert estimator.value(moved) == pytest.approx(estimator.value(problem) + shift, abs=1e-8)
    by = shift * problem.weights.mean()
    assert IPS().value(moved) == pytest.approx(IPS().value(problem) + by, abs=1e-8)


def test_doubly_robust_with_the_exact_model_of_noiseless_rewards_has_no_weight_noise():
    rng = np.random.default_rng(3)
    problem = random_problem(rng)
    truth = rng.normal(size=problem.probabilities.shape)
    log = replace(problem.log, rewards=truth[problem.taken])
    exact = OffPolicyProblem(log, problem.probabilities)
    terms = DoublyRobust(GivenPredictions(truth)).terms(exact)
    np.testing.assert_allclose(terms.numerator, 0, atol=1e-12)
    np.testing.assert_allclose(terms.offset, (problem.probabilities * truth).sum(axis=1), atol=1e-12)
    one_context = np.broadcast_to(truth[0], truth.shape)
    flat = OffPolicyProblem(
        replace(problem.log, rewards=one_context[problem.taken]),
        np.broadcast_to(problem.probabilities[0], truth.shape),
    )
    assert np.ptp(DoublyRobust(GivenPredictions(one_context)).terms(flat).numerator) < 1e-12
    assert np.ptp(IPS().terms(flat).numerator) > 0.1


def test_on_its_own_log_a_policy_is_worth_its_mean_reward():
    log = example_log()
    problem = OffPolicyProblem.of(Uniform(), log)
    for estimator in (IPS(), SNIPS(), ClippedIPS(), RejectionReplay()):
        assert estimator.value(problem) == pytest.approx(log.rewards.mean())


@pytest.mark.parametrize("estimator", ALL[:3])
def test_a_row_of_weight_2_counts_as_two_rows(estimator):
    problem = random_problem(np.random.default_rng(4), weights=np.tile([1.0, 2.0, 0.0, 1.0], 10))
    rows = np.repeat(np.arange(40), np.tile([1, 2, 0, 1], 10))
    twice = OffPolicyProblem(replace(problem.log, weights=None).subset(rows), problem.probabilities[rows])
    assert estimator.value(problem) == pytest.approx(estimator.value(twice), abs=1e-12)


def test_ridge_rows_of_weight_2_count_as_two_rows_of_one_query():
    problem = random_problem(np.random.default_rng(4), weights=np.tile([1.0, 2.0, 1.0, 1.0], 10))
    ids = tuple(str(i) for i in range(40))
    log = replace(problem.log, query_ids=ids)
    rows = np.repeat(np.arange(40), np.tile([1, 2, 1, 1], 10))
    twice = replace(log, weights=None).subset(rows)
    np.testing.assert_allclose(
        CrossFittedRidge().predict(log)[rows], CrossFittedRidge().predict(twice), rtol=0, atol=1e-9
    )


def test_cross_fitted_ridge_is_ridge_on_the_other_folds_and_never_sees_its_own_query():
    rng = np.random.default_rng(5)
    log = replace(random_problem(rng).log, query_ids=tuple(f"q{i // 2}" for i in range(40)))
    model = CrossFittedRidge(n_folds=4, prior_precision=0.7, intercept_precision=0.2, seed=3)
    predicted = model.predict(log)
    folds = (rng_folds := np.random.default_rng(3).permutation(20) % 4)[np.arange(40) // 2]
    assert len(set(rng_folds.tolist())) == 4
    rows = np.column_stack([log.contexts.astype(float), np.ones(40)])
    prior = np.diag([0.7] * 4 + [0.2])
    for fold in range(4):
        outside = folds != fold
        mean = log.rewards[outside].mean()
        for arm in range(3):
            x = rows[outside & (log.actions == arm)]
            r = log.rewards[outside & (log.actions == arm)] - mean
            expected = mean + rows[~outside] @ np.linalg.solve(x.T @ x + prior, x.T @ r)
            np.testing.assert_allclose(predicted[~outside, arm], expected, atol=1e-10)
    spoiled = log.rewards.copy()
    spoiled[:2] = 1e6  # the first query
    np.testing.assert_allclose(model.predict(replace(log, rewards=spoiled))[:2], predicted[:2], atol=1e-10)


def test_predictions_of_a_log_of_several_blocks_are_those_of_ridge_on_the_other_folds():
    rng = np.random.default_rng(8)
    n = 20_000
    log = LoggedData(rng.normal(size=(n, 2)), rng.integers(2, size=n), rng.normal(size=n), np.full(n, 0.5), ("a", "b"))
    predicted = CrossFittedRidge(n_folds=2, seed=3).predict(log)
    folds = np.random.default_rng(3).permutation(n) % 2
    rows = np.column_stack([log.contexts.astype(float), np.ones(n)])
    mean = log.rewards[folds == 1].mean()
    kept = (folds == 1) & (log.actions == 1)
    gram = rows[kept].T @ rows[kept] + np.diag([1.0, 1.0, 0.01])
    expected = mean + rows[folds == 0] @ np.linalg.solve(gram, rows[kept].T @ (log.rewards[kept] - mean))
    np.testing.assert_allclose(predicted[folds == 0, 1], expected, atol=1e-10)


def test_many_arms_are_fitted_within_bounded_memory(monkeypatch):
    rng = np.random.default_rng(9)
    n, k = 400, 60
    names = tuple(map(str, range(k)))
    log = LoggedData(rng.normal(size=(n, 20)), rng.integers(k, size=n), rng.normal(size=n), np.full(n, 1 / k), names)
    expected = CrossFittedRidge().predict(log)
    monkeypatch.setattr(reward_model, "CELLS_AT_ONCE", 5 * 21**2 * 7)
    tracemalloc.start()
    predicted = CrossFittedRidge().predict(log)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(predicted, expected, rtol=0, atol=1e-12)
    assert peak < 5 * 21**2 * k * 8  # of the matrices of all arms


def test_an_arm_without_rows_is_predicted_at_the_mean_reward():
    log = replace(random_problem(np.random.default_rng(6)).log, rewards=np.full(40, 7.0))
    grown = log.with_arms((*log.arm_names, "never tried"))
    np.testing.assert_allclose(CrossFittedRidge().predict(grown), 7.0, atol=1e-9)


def test_policy_and_log_are_matched_by_the_names_of_arms():
    data = example_data()
    log = example_log()
    policy = EpsilonGreedy(LinUCB(), epsilon=0.3).fit(data.with_arms(tuple(sorted(data.arm_names))))
    problem = OffPolicyProblem.of(policy, log)
    np.testing.assert_allclose(problem.probabilities, data.probabilities_of(policy))
    fewer = EpsilonGreedy(LinUCB(), epsilon=0.3).fit(data.select_arms(data.arm_names[:2]))
    assert (OffPolicyProblem.of(fewer, log).probabilities[:, 2] == 0).all()


def test_a_policy_acts_on_the_arms_that_were_available():
    log = example_log()
    available = np.ones((len(log), 3), np.bool_)
    available[np.arange(len(log)), (log.actions + 1) % 3] = False
    masked = replace(log, available=available, action_probabilities=None)
    problem = OffPolicyProblem.of(Uniform(), masked)
    assert (problem.probabilities[~available] == 0).all()
    with pytest.raises(ValueError, match="must be 0 where unavailable"):
        OffPolicyProblem(masked, np.full((len(log), 3), 1 / 3))


def test_predictions_are_computed_once_for_all_estimators():
    calls = []

    class Counting(ConstantReward):
        def predict(self, log):
            calls.append(1)
            return super().predict(log)

    problem = random_problem(np.random.default_rng(0))
    model = Counting(0.5)
    for estimator in (DirectMethod(model), DoublyRobust(model), SelfNormalisedDR(model)):
        estimator.value(problem)
    assert len(calls) == 1


def test_what_cannot_be_asked_is_refused():
    log = example_log()
    data = example_data()
    with pytest.raises(ValueError, match="may choose 'new', which the log does not hold"):
        OffPolicyProblem.of(LinUCB(arm_names=(*log.arm_names, "new")).fit(data), log)
    policy = LinUCB().fit(replace(data, encoder="one"))
    with pytest.raises(
        ValueError, match="the policy and the log must have contexts of one encoder, got 'one' and 'other'"
    ):
        OffPolicyProblem.of(policy, replace(log, encoder="other"))
    thirds = np.full((len(log), 3), 1 / 3)
    with pytest.raises(ValueError, match="row sums must be 1"):
        OffPolicyProblem(log, thirds / 2)
    with pytest.raises(ValueError, match=r"rewards must be in reward_range \[0, 1\]: row"):
        OffPolicyProblem(log, thirds, reward_range=(0, 1))
    with pytest.raises(ValueError, match="low < high"):
        OffPolicyProblem(log, thirds, reward_range=(1, 1))
    with pytest.raises(ValueError, match=r"weights must be at most max_weight 1.5: row \d+ is 3"):
        OffPolicyProblem(log, np.eye(3)[log.actions], max_weight=1.5)
    for wrong in (0.5, np.inf, np.nan):
        with pytest.raises(ValueError, match="max_weight must be a finite number >= 1"):
            OffPolicyProblem(log, thirds, max_weight=wrong)
        with pytest.raises(ValueError, match="max_weight must be a finite number >= 1"):
            ClippedIPS(wrong)


def test_estimates_that_do_not_exist_are_refused():
    log = example_log()
    disjoint = OffPolicyProblem(log, np.eye(3)[(log.actions + 1) % 3])
    for estimator in (SNIPS(), SelfNormalisedDR()):
        with pytest.raises(ValueError, match="this log cannot support the question"):
            estimator.value(disjoint)
    with pytest.raises(ValueError, match="kept none of 60 rows"):
        RejectionReplay().value(disjoint)
    assert IPS().value(disjoint) == 0
    with pytest.raises(ValueError, match="every row has weight 0"):
        OffPolicyProblem(replace(log, weights=np.zeros(60)), disjoint.probabilities)
    with pytest.raises(ValueError, match="finite numbers, one a row"):
        IPS().terms(disjoint).__class__(np.array([np.nan]), np.ones(1), np.zeros(1, np.int64))
    with pytest.raises(ValueError, match="finite numbers, one a row"):
        Terms(np.zeros(2), np.ones(1), np.zeros(1, np.int64))


def test_reward_models_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="n_folds must be an integer >= 2"):
        CrossFittedRidge(n_folds=1)
    with pytest.raises(ValueError, match="prior_precision"):
        CrossFittedRidge(prior_precision=0.0)
    one = LoggedData([[1.0], [2.0]], [0, 1], [1.0, 2.0], [0.5, 0.5], ("a", "b"), query_ids=("q", "q"))
    with pytest.raises(ValueError, match="at least 2 queries"):
        CrossFittedRidge().predict(one)
    problem = OffPolicyProblem(one, np.full((2, 2), 0.5))
    with pytest.raises(ValueError, match=r"GivenPredictions's predictions must have shape \(2, 2\)"):
        DirectMethod(GivenPredictions(np.zeros((3, 2)))).value(problem)
    with pytest.raises(ValueError, match="predictions must be finite"):
        DirectMethod(GivenPredictions([[np.nan, 1], [1, 1]])).value(problem)
