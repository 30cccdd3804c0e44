"""Estimates with their diagnostics: what is said, and when a log cannot support the question."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from bandits import (
    IPS,
    SNIPS,
    BestFixedArm,
    DirectMethod,
    DoublyRobust,
    EpsilonGreedy,
    FullInformationData,
    LinUCB,
    LoggedData,
    SelfNormalisedDR,
    Uniform,
    estimate,
)
from bandits.off_policy import (
    BootstrapInterval,
    Bounds,
    ConstantReward,
    DeltaMethod,
    EmpiricalBernstein,
    OffPolicyProblem,
    diagnose,
)
from bandits.off_policy.estimate import OffPolicyEstimates, estimate_problem
from bandits.off_policy.estimators import ClippedIPS
from bandits.testing import example_data, example_log
from tests.support.enumerated_problem import EnumeratedProblem


def large_log(policy=None, n_rows=600):
    data = example_data(n_rows=n_rows)
    return data, data.log_with(policy or Uniform(), np.random.default_rng(0))


def problems_of(log, probabilities, **bounds):
    return " | ".join(diagnose(OffPolicyProblem(log, probabilities, **bounds)).problems)


def test_estimate_gives_every_estimator_with_intervals_near_the_true_value():
    data, log = large_log(n_rows=2000)
    policy = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.1).fit(example_data(n_rows=50, seed=3))
    found = estimate(policy, log, intervals=(EmpiricalBernstein(), BootstrapInterval(200), DeltaMethod()))
    assert list(found.names) == ["DoublyRobust", "SelfNormalisedDR", "SNIPS", "IPS", "DirectMethod"]
    for result in found:
        assert result.supported
        assert not result.estimated_propensities
        assert [interval.kind for interval in result.intervals] == ["empirical Bernstein", "bootstrap", "delta"]
        assert result.intervals[0].refused is not None
        if result.name != "DirectMethod":
            assert result.interval == (result.intervals[1].low, result.intervals[1].high)
        assert abs(result.value - data.value(policy)) < 0.5
        assert f"{result.value:.4g}" in str(result)
    assert all("how wrong the reward model" in interval.refused for interval in found["DirectMethod"].intervals)
    assert found["DirectMethod"].interval == (-np.inf, np.inf)
    assert OffPolicyEstimates.from_json(found.to_json()) == found
    assert "The log supports these estimates." in found.to_text()


def test_estimated_propensities_are_said_by_every_estimate():
    _, log = large_log()
    log = replace(log, propensities_estimated=True)
    for result in estimate(Uniform(), log, intervals=(DeltaMethod(),)):
        assert result.estimated_propensities
        assert any("propensities were estimated" in note for note in result.notes)
        assert "propensities were estimated" in str(result)


def test_clipping_is_counted_and_its_share_stated():
    tiny = EnumeratedProblem()
    problem = tiny.draw(500, np.random.default_rng(0))
    result = estimate_problem(problem, (ClippedIPS(1.5),), (DeltaMethod(),))["ClippedIPS(1.5)"]
    n_clipped = int((problem.weights > 1.5).sum())
    assert result.notes[0].startswith(f"{n_clipped} weights above 1.5 were clipped")
    assert estimate_problem(problem, (ClippedIPS(50),), ())["ClippedIPS(50)"].notes == ()


def test_a_reward_model_that_its_own_residuals_contradict_is_said():
    data, log = large_log()
    wrong = estimate(Uniform(), log, estimators=(DirectMethod(ConstantReward(log.rewards.mean() + 2)),), intervals=())
    assert "the reward model is off by about +2 for this policy" in wrong["DirectMethod"].notes[0]
    right = estimate(Uniform(), log, estimators=(DirectMethod(),), intervals=())["DirectMethod"]
    assert right.notes == ()
    assert right.value == pytest.approx(data.rewards.mean(), abs=0.2)
    one = OffPolicyProblem(log.subset([0]), np.full((1, 3), 1 / 3))
    assert DirectMethod(ConstantReward(9.0)).terms(one).notes == ()


def test_an_interval_without_width_is_refused():
    _, log = large_log()
    log = replace(log, rewards=np.zeros(600))
    methods = (BootstrapInterval(50), DeltaMethod())
    for result in estimate(BestFixedArm(arm_names=log.arm_names), log, estimators=(IPS(), SNIPS()), intervals=methods):
        assert not result.supported
        assert result.value == 0
        assert "would have no width, because the" in result.diagnostics.problems[-1]
        assert all("would have no width" in interval.refused for interval in result.intervals)
        assert "not supported" in str(result)
    missed = 1 - 0.05 ** (1 / 600)
    assert f"{missed:.1%}" in result.diagnostics.problems[-1]


def test_full_information_is_sent_to_exact_evaluation():
    data = example_data()
    with pytest.raises(TypeError, match=r"needs LoggedData, got FullInformationData: .*`evaluate`"):
        estimate(LinUCB().fit(data), data)


def test_two_estimators_of_one_name_and_undefined_estimates_are_refused():
    _, log = large_log()
    with pytest.raises(ValueError, match="estimators must differ in name, got 'IPS' twice"):
        estimate(Uniform(), log, estimators=(IPS(), IPS()))
    disjoint = OffPolicyProblem(log, np.eye(3)[(log.actions + 1) % 3])
    with pytest.raises(ValueError, match="no estimate is defined on this log: SNIPS: no logged action has a positive"):
        estimate_problem(disjoint, (SNIPS(),))
    assert estimate_problem(disjoint, (IPS(),), ())["IPS"].interval == (-np.inf, np.inf)
    assert "no interval asked for" in str(estimate_problem(disjoint, (IPS(),), ())["IPS"])


def test_diagnostics_have_their_closed_forms():
    log = LoggedData(
        np.ones((4, 1)), [0, 0, 1, 1], np.zeros(4), [0.5, 0.5, 0.25, 0.5], ("a", "b"), query_ids=("p", "p", "q", "r")
    )
    found = diagnose(OffPolicyProblem(log, [[0.5, 0.5], [0.0, 1.0], [0.5, 0.5], [1.0, 0.0]]))
    assert found.n_rows == 4
    assert found.n_queries == 3
    assert found.mean_weight == pytest.approx(3 / 4)
    assert found.effective_sample_size == pytest.approx(9 / 5)  # queries weigh 1, 2 and 0
    assert found.certain_sample_size == found.effective_sample_size  # one row of the missing 0.75 makes it 2.7
    assert found.overlap == pytest.approx((1 + 0 + 1 + 0) / 4)
    assert (found.worst_weight, found.worst_row) == (2.0, 2)
    assert found.worst_weight_share == pytest.approx(2 / 3)
    assert found.mass_on_rare_arms == pytest.approx(1)
    assert found.mass_outside is None


def test_overlap_and_mass_outside_are_exact_where_the_distributions_were_logged():
    logging = np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]])
    evaluation = np.array([[0.1, 0.2, 0.7], [0.2, 0.8, 0.0]])
    log = LoggedData(np.ones((2, 1)), [0, 1], [0.0, 0.0], [0.5, 0.3], ("a", "b", "c"), action_probabilities=logging)
    found = diagnose(OffPolicyProblem(log, evaluation))
    assert found.overlap == pytest.approx((0.3 + 0.5) / 2)
    assert found.mass_outside == pytest.approx(0.35)
    assert any("35% of the policy's probability lies where the logging policy never acts" in p for p in found.problems)


def test_a_policy_of_its_own_log_overlaps_fully():
    _, log = large_log()
    found = diagnose(OffPolicyProblem.of(Uniform(), log))
    assert found.supported
    assert found.effective_sample_size == pytest.approx(600)
    assert found.overlap == pytest.approx(1)
    assert found.mass_outside == 0
    assert "no warnings" in str(found)


def test_few_effective_rows_and_one_heavy_row_are_said():
    log = example_log()
    probabilities = np.zeros((60, 3))
    probabilities[np.arange(60), (log.actions + (np.arange(60) > 0)) % 3] = 1.0
    said = problems_of(log, probabilities)
    assert "the log is worth 1.0 decisions of this policy (of 60 rows)" in said
    assert "one query carries 100% of all weight" in said


def test_mass_on_arms_hardly_tried_is_said():
    _, log = large_log()
    grown = replace(log.with_arms((*log.arm_names, "new")), available=None)
    said = problems_of(grown, np.tile([0.2, 0.2, 0.2, 0.4], (600, 1)))
    assert "40% of the policy's probability lies on arms that the log hardly tried (new: fewer than 10 rows" in said
    assert problems_of(grown, np.tile([0.3, 0.3, 0.395, 0.005], (600, 1))) == ""


def test_a_deterministic_log_is_said():
    _, log = large_log()
    certain = replace(log, propensities=np.ones(600), action_probabilities=None)
    assert "the logging policy was deterministic" in problems_of(certain, np.full((600, 3), 1 / 3))
    partly = np.where(np.arange(600)[:, None] % 3, np.eye(3)[(log.actions + 1) % 3], np.eye(3)[log.actions])
    assert "weights average 0.33 where 1 is expected" in problems_of(certain, partly)
    assert "deterministic" not in problems_of(certain, np.eye(3)[log.actions])


@pytest.mark.parametrize("whole", [True, False])
def test_wrong_propensities_are_said(whole):
    rng = np.random.default_rng(0)
    true = np.tile([0.6, 0.3, 0.1], (2000, 1))
    stated = np.tile([0.3, 0.3, 0.4], (2000, 1))
    actions = rng.choice(3, size=2000, p=true[0])
    log = LoggedData(
        rng.normal(size=(2000, 2)),
        actions,
        rng.normal(size=2000),
        stated[0][actions],
        ("a", "b", "c"),
        action_probabilities=stated if whole else None,
    )
    found = diagnose(OffPolicyProblem(log, np.full((2000, 3), 1 / 3)))
    said = " | ".join(found.problems)
    assert "arm 'a' was taken" in said
    assert "more often than the propensities say" in said
    assert ("arm 'c' was taken" in said) == whole
    assert abs(found.calibration["b"]) < 4
    right = replace(log, propensities=true[0][actions], action_probabilities=true if whole else None)
    assert problems_of(right, np.full((2000, 3), 1 / 3)) == ""


def test_calibration_is_open_where_no_row_tells():
    log = LoggedData([[1.0]], [0], [1.0], [1.0], ("a", "b"))
    assert diagnose(OffPolicyProblem(log, [[1.0, 0.0]])).calibration == {"a": None, "b": None}


def test_zero_clicks_on_few_matched_rows_get_no_certainty():
    rng = np.random.default_rng(1)
    data = FullInformationData(rng.normal(size=(3000, 3)), rng.random((3000, 34)) < 0.005, tuple(map(str, range(34))))
    log = data.log_with(Uniform(), rng)
    policy = LinUCB(arm_names=data.arm_names)
    policy.start(data.arm_names, 3)
    problem = OffPolicyProblem(log, np.eye(34)[rng.integers(34, size=3000)])
    silent = OffPolicyProblem(
        replace(log, rewards=np.where(problem.weights > 0, 0, log.rewards)), problem.probabilities
    )
    result = estimate_problem(silent, (SNIPS(),))["SNIPS"]
    assert result.value == 0
    assert not result.supported
    assert "no width" in " ".join(result.diagnostics.problems)
    assert result.interval == (-np.inf, np.inf)


def test_an_estimator_that_is_not_defined_says_so_in_its_row_and_costs_no_other():
    _, log = large_log()
    disjoint = OffPolicyProblem(log, np.eye(3)[(log.actions + 1) % 3])
    found = estimate_problem(disjoint)
    assert found.names == ("DoublyRobust", "SelfNormalisedDR", "SNIPS", "IPS", "DirectMethod")
    assert found["IPS"].value == 0
    assert found["SNIPS"].value is None
    assert "no logged action has a positive probability" in found["SNIPS"].refused
    assert "SNIPS: no estimate: no logged action" in str(found["SNIPS"])
    text = found.to_text(200)
    assert "SNIPS: no estimate: no logged action has a positive probability" in text
    assert [line.split()[1:3] for line in text.splitlines() if line.startswith("SNIPS  ")] == [["none", "none"]]
    assert OffPolicyEstimates.from_json(found.to_json()) == found
    assert "SNIPS none" in repr(found)


def test_one_row_has_an_estimate_without_an_interval():
    found = estimate(Uniform(), large_log()[1].subset([0]))
    assert found["IPS"].value is not None
    assert "at least 2 queries" in found["IPS"].intervals[0].refused
    assert "at least 2 queries" in found["DoublyRobust"].refused


def test_weights_beyond_all_proportion_cost_the_plain_means_only():
    _, log = large_log()
    tiny = replace(log, propensities=np.full(600, 1e-300), action_probabilities=None)
    found = estimate(EpsilonGreedy(LinUCB(), epsilon=0.5).fit(example_data(seed=3)), tiny, intervals=(DeltaMethod(),))
    same = estimate(EpsilonGreedy(LinUCB(), epsilon=0.5).fit(example_data(seed=3)), log)
    for name in ("SNIPS", "SelfNormalisedDR"):
        assert found[name].value == pytest.approx(same[name].value)
        assert found[name].interval == pytest.approx(same[name].interval)
    for name in ("IPS", "DoublyRobust"):
        assert "propensities are almost 0" in found[name].refused
    assert found["SNIPS"].diagnostics.effective_sample_size == pytest.approx(
        same["SNIPS"].diagnostics.effective_sample_size
    )
    assert not found["SNIPS"].supported
    assert estimate(Uniform(), tiny, estimators=(ClippedIPS(),))["ClippedIPS(10)"].value is not None
    with pytest.raises(ValueError, match=r"propensities must be large enough .* row 0 is 5e-324"):
        estimate(Uniform(), replace(tiny, propensities=np.full(600, 5e-324)))


def test_intervals_keep_within_the_range_of_rewards():
    rng = np.random.default_rng(0)
    n = 2000
    log = LoggedData(rng.normal(size=(n, 2)), np.arange(n) % 2, np.arange(n) < 6, np.full(n, 0.5), ("a", "b"))
    methods = (DeltaMethod(), BootstrapInterval(200))
    for estimators in ((SelfNormalisedDR(), SNIPS()), (DoublyRobust(),)):
        bare, within = (
            estimate(Uniform(), log, estimators=estimators, intervals=methods, bounds=Bounds(reward_range=bounds))
            for bounds in (None, (0.0, 1.0))
        )
        for free, kept in zip(bare, within, strict=True):
            assert free.value == kept.value
            for one, other in zip(free.intervals, kept.intervals, strict=True):
                assert (other.low, other.high) == (max(one.low, 0.0), one.high)


def test_an_estimate_outside_the_range_of_rewards_is_said_and_has_no_interval_there():
    log = LoggedData(np.ones((200, 1)), np.zeros(200, int), np.ones(200), np.full(200, 0.5), ("a", "b"))
    log = replace(log, rewards=np.where(np.arange(200) % 2, 1.0, 0.9))
    result = estimate_problem(OffPolicyProblem(log, np.tile([1.0, 0.0], (200, 1)), (0.0, 1.0)), (IPS(),))["IPS"]
    assert result.value > 1
    assert any("outside reward_range" in note for note in result.notes)
    assert "lies outside reward_range" in result.intervals[0].refused


def test_an_estimate_takes_little_memory_beside_the_log():
    rng, n = np.random.default_rng(0), 100_000
    contexts = rng.standard_normal((n, 64), dtype=np.float32)
    log = LoggedData(contexts, np.arange(n) % 10, rng.normal(size=n), np.full(n, 0.1), tuple("abcdefghij"))
    estimate(Uniform(), log.subset(np.arange(100)))  # what is imported late is no part of it
    tracemalloc.start()
    estimate(Uniform(), log)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak / n < 500  # bytes a row; an (n, k) array of float64 takes 80


def test_rare_rewards_are_said_and_too_few_get_no_approximate_interval():
    rng = np.random.default_rng(0)
    log = LoggedData(rng.normal(size=(3000, 2)), np.arange(3000) % 2, np.zeros(3000), np.full(3000, 0.5), ("a", "b"))
    for n_clicks, said, given in ((3, True, False), (12, True, True), (100, False, True)):
        clicks = replace(log, rewards=np.arange(3000) % 1000 * 1000 < n_clicks / 3 * 1000)
        result = estimate(Uniform(), clicks)["DoublyRobust"]
        assert result.diagnostics.n_deviating == pytest.approx(clicks.rewards.sum())
        assert any("rewards other than the commonest are rare" in one for one in result.diagnostics.problems) == said
        assert (result.intervals[0].refused is None) == given
    failures = replace(log, rewards=np.arange(3000) >= 4)  # rare failures are rare rewards too
    assert "4.0 rewards other than the commonest" in estimate(Uniform(), failures)["SNIPS"].intervals[0].refused


def test_the_bootstrap_is_given_from_2000_queries_on():
    _, log = large_log(n_rows=2000)
    methods = (BootstrapInterval(50), DeltaMethod())
    for rows, given in ((np.arange(2000), True), (np.arange(1999), False)):
        bootstrap, delta = estimate(Uniform(), log.subset(rows), estimators=(SNIPS(),), intervals=methods)[
            "SNIPS"
        ].intervals
        assert (bootstrap.refused is None) == given
        assert delta.refused is None
    assert "holds from 2000 queries on, and the log has 1999" in bootstrap.refused


def test_a_log_of_few_effective_rows_gets_no_approximate_interval():
    problem = OffPolicyProblem(example_log().subset(np.arange(20)), np.full((20, 3), 1 / 3), (-10.0, 10.0), 3.0)
    result = estimate_problem(problem, (IPS(),), (DeltaMethod(), EmpiricalBernstein()))["IPS"]
    assert "worth 20.0 decisions of this policy" in result.intervals[0].refused
    assert result.intervals[1].refused is None
