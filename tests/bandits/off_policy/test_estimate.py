"""Estimates with their diagnostics: what is said, and when a log cannot support the question."""

from dataclasses import replace

import numpy as np
import pytest

from bandits import (
    IPS,
    SNIPS,
    BestFixedArm,
    DirectMethod,
    EpsilonGreedy,
    FullInformationData,
    LinUCB,
    LoggedData,
    Uniform,
    estimate,
)
from bandits.off_policy import (
    BootstrapInterval,
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
    data, log = large_log()
    policy = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.1).fit(example_data(n_rows=50, seed=3))
    found = estimate(policy, log, intervals=(EmpiricalBernstein(), BootstrapInterval(200), DeltaMethod()))
    assert list(found.names) == ["DirectMethod", "IPS", "SNIPS", "DoublyRobust", "SelfNormalisedDR"]
    for result in found:
        assert result.supported
        assert not result.estimated_propensities
        assert [interval.kind for interval in result.intervals] == ["empirical Bernstein", "bootstrap", "delta"]
        assert result.intervals[0].refused is not None
        assert result.interval == (result.intervals[1].low, result.intervals[1].high)
        assert abs(result.value - data.value(policy)) < 0.5
        assert f"{result.value:.4g}" in str(result)
    assert any("how wrong the reward model" in note for note in found["DirectMethod"].notes)
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
    assert "the reward model is off by about +2 for this policy" in wrong["DirectMethod"].notes[1]
    right = estimate(Uniform(), log, estimators=(DirectMethod(),), intervals=())["DirectMethod"]
    assert len(right.notes) == 1
    assert right.value == pytest.approx(data.rewards.mean(), abs=0.2)
    one = OffPolicyProblem(log.subset([0]), np.full((1, 3), 1 / 3))
    assert len(DirectMethod(ConstantReward(9.0)).terms(one).notes) == 1


def test_an_interval_without_width_is_vetoed():
    _, log = large_log()
    log = replace(log, rewards=np.zeros(600))
    for result in estimate(BestFixedArm(arm_names=log.arm_names), log, estimators=(IPS(), SNIPS())):
        assert not result.supported
        assert result.value == 0
        assert "the bootstrap and delta interval has no width, because the" in result.diagnostics.problems[-1]
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
    with pytest.raises(ValueError, match="SNIPS: no logged action has a positive probability"):
        estimate_problem(disjoint)
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
        np.zeros(2000),
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
