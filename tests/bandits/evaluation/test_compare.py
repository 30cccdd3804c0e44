"""Comparisons: disjoint rows, exact values, paired differences, the same result in any number of processes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from bandits import (
    IPS,
    SNIPS,
    BestFixedArm,
    ComparisonSettings,
    DirectMethod,
    DoublyRobust,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    LoggedData,
    Policy,
    Uniform,
    compare,
)
from bandits.evaluation import Comparison
from bandits.evaluation.task import ComparisonTask, ComparisonWork
from bandits.off_policy import estimate_problem
from bandits.off_policy.estimators import ClippedIPS, RejectionReplay
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.shrunk import shrunk
from bandits.testing import example_data

POLICIES = {"fixed": BestFixedArm(), "LinUCB": LinUCB(), "uniform": Uniform()}
QUICK = ComparisonSettings(train_shares=(0.5, 1.0), n_bootstrap=200)


def priced_data(n_rows=120):
    data = example_data(n_rows)
    costs = np.tile([1.0, 2.0, 4.0], (n_rows, 1))
    return FullInformationData(data.contexts, data.rewards, data.arm_names, costs=costs, query_ids=data.query_ids)


@pytest.fixture(scope="module")
def log():
    return priced_data(600).log_with(Uniform(), np.random.default_rng(4))


@pytest.fixture(scope="module")
def on_log(log):
    return compare(POLICIES, log, (0, 1), settings=QUICK)


@pytest.fixture(scope="module")
def exact():
    return compare(POLICIES, priced_data(), settings=QUICK)


class Spy(Uniform):
    """Remembers in which query numbers it was trained and asked."""

    seen: list[tuple[str, set[float]]]

    def _update(self, state, data):
        Spy.seen.append(("train", set(data.contexts[:, 0].tolist())))
        return super()._update(state, data)

    def _probabilities(self, state, contexts, available):
        Spy.seen.append(("test", set(contexts[:, 0].tolist())))
        return super()._probabilities(state, contexts, available)


@pytest.mark.parametrize("logged", [True, False])
def test_rows_of_one_query_are_never_on_both_sides(logged):
    base = example_data(90)
    query = np.arange(90) // 3
    contexts = np.repeat(query[:, None], 5, axis=1).astype(np.float32)
    data = FullInformationData(contexts, base.rewards, base.arm_names, query_ids=[f"q{q}" for q in query])
    rows = data.log_with(Uniform(), np.random.default_rng(0)) if logged else data
    for seed in range(3):
        Spy.seen = []
        ComparisonWork(rows, QUICK, "reward")(ComparisonTask(seed, "spy", Spy()))
        (_, half), (_, tested), (_, whole), (_, again) = Spy.seen
        assert tested == again
        assert half < whole
        assert not whole & tested
        assert whole | tested == set(range(30))


def test_values_are_exact_expectations_over_seeds_and_queries(exact):
    data = priced_data()
    arms = {name: exact[name] for name in data.arm_names}
    for name, row in arms.items():
        assert row.arm_shares[name] == 1
        assert row.value == pytest.approx(np.mean(row.by_seed))  # equal test sizes
        assert row.low <= row.value <= row.high
    uniform = exact["uniform"]
    assert uniform.value == pytest.approx(np.mean([row.value for row in arms.values()]))
    assert uniform.cost.value == pytest.approx(7 / 3)
    assert exact["oracle"].regret.value == 0
    for row in exact.rows:
        assert row.difference.value == pytest.approx(row.value - exact["fixed"].value)
        assert row.regret.value == pytest.approx(exact["oracle"].value - row.value)
    assert exact.best == "LinUCB"


def test_differences_are_paired():
    rng = np.random.default_rng(0)
    level = 10 * rng.normal(size=(200, 1))  # queries differ a lot, arms by a constant
    data = FullInformationData(rng.normal(size=(200, 2)), level + np.array([0.0, 1.0]), ("worse", "better"))
    result = compare({"uniform": Uniform()}, data, settings=replace(QUICK, baseline="worse"))
    row = result["better"]
    assert row.high - row.low > 1
    assert (row.difference.low, row.difference.high) == (pytest.approx(1), pytest.approx(1))


def test_intervals_cover_the_truth_at_about_their_confidence():
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        data = FullInformationData(np.ones((80, 1)), rng.normal(size=(80, 2)), ("a", "b"))
        settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=200, confidence=0.9)
        value = compare({"uniform": Uniform()}, data, (0, 1, 2, 3, 4), settings=settings)["a"]
        covered += value.low <= 0 <= value.high
    assert 80 <= covered <= 99


def test_learning_curves_rise_and_end_at_the_table(exact):
    points = [point for point in exact.curves if point.name == "LinUCB"]
    assert [point.train_share for point in points] == [0.5, 1.0]
    assert points[0].n_train < points[1].n_train
    assert points[-1].interval == exact["LinUCB"].interval


def test_bandit_feedback_teaches_less_than_full_information():
    data = example_data(200)
    shown = compare({"LinUCB": LinUCB()}, data, settings=QUICK)
    settings = ComparisonSettings(train_shares=(1.0,), n_bootstrap=100, logging_policy=Uniform())
    told = compare({"LinUCB": LinUCB()}, data, settings=settings)
    assert shown["LinUCB"].value > told["LinUCB"].value
    assert shown["oracle"].value == pytest.approx(shown["oracle"].value)
    assert "Uniform would have logged" in told.to_text()


def test_rows_without_every_reward_are_trained_on_but_not_scored():
    data = example_data(100)
    observed = np.ones((100, 3), bool)
    observed[::4, 0] = False
    rewards = np.where(observed, data.rewards, np.nan)
    ragged = FullInformationData(data.contexts, rewards, data.arm_names, observed=observed)
    result = compare(POLICIES, ragged, settings=QUICK)
    assert result.n_left_out == 25
    assert "25 rows" in result.to_text()
    assert result.curves[-1].n_train == 70


def test_on_a_log_values_are_the_estimators_own(log):
    seed, estimators = 3, (DoublyRobust(), SNIPS(), IPS())
    result = compare(
        {"eps": EpsilonGreedy(LinUCB(), epsilon=0.2)}, log, (seed,), settings=replace(QUICK, estimators=estimators)
    )
    tested = ComparisonWork(log, QUICK, "reward")(ComparisonTask(seed))[0].queries
    test = log.subset(tested)
    train = log.subset(np.setdiff1d(np.arange(len(log)), tested))
    problem = OffPolicyProblem.of(shrunk(EpsilonGreedy(LinUCB(), epsilon=0.2), train).fit(train), test)
    for estimate in estimate_problem(problem, estimators):
        row = result.row("eps", estimate.name)
        assert row.value == pytest.approx(estimate.value, abs=1e-9)
        assert row.effective_sample_size == pytest.approx(estimate.diagnostics.effective_sample_size)
    logged = result["logging policy"]
    assert logged.value == pytest.approx(test.rewards.mean())
    assert logged.cost.value == pytest.approx(test.costs.mean())


def test_an_estimator_without_an_interval_says_so_in_its_row_and_costs_no_other(log):
    estimators = (DirectMethod(), DoublyRobust(), ClippedIPS(1.5))
    result = compare(POLICIES, log, (0, 1), settings=replace(QUICK, estimators=estimators))
    alone = compare(POLICIES, log, (0, 1), settings=replace(QUICK, estimators=(DoublyRobust(),)))
    assert result.conclusion == alone.conclusion
    assert result["LinUCB"] == alone["LinUCB"]
    refused = {(row.name, row.estimator): row.reason for row in result.refused}
    for name in (*POLICIES, "best fixed arm"):
        assert "how wrong the reward model may be" in refused[name, "DirectMethod"]
    assert "the mean of the clipped terms" in refused["LinUCB", "ClippedIPS(1.5)"]
    text = result.to_text(200)
    assert "LinUCB, DirectMethod: no estimate: DirectMethod has no interval" in text
    assert Comparison.from_json(result.to_json()) == result


def test_a_log_that_cannot_tell_says_so(log):
    small = log.subset(np.arange(30))
    text = compare(POLICIES, small, (0, 1), settings=replace(QUICK, estimators=(SNIPS(),))).to_text()
    assert "the log cannot support an estimate in 2 of 2 seeds" in text


def test_estimated_propensities_are_told(log):
    marked = LoggedData(
        log.contexts, log.actions, log.rewards, log.propensities, log.arm_names, propensities_estimated=True
    )
    result = compare(POLICIES, marked, (0,), settings=replace(QUICK, estimators=(SNIPS(),)))
    assert "were estimated, not recorded" in result.to_markdown()


def test_a_policy_does_not_depend_on_the_others_and_is_not_changed(exact):
    policy = LinUCB()
    alone = compare({"LinUCB": policy}, priced_data(), settings=replace(QUICK, baseline="oracle"))
    assert alone["LinUCB"].by_seed == exact["LinUCB"].by_seed
    assert policy.state is None


def test_results_come_back_from_disk(exact, on_log, tmp_path):
    for result in (exact, on_log):
        result.save(tmp_path / "comparison.json")
        assert Comparison.load(tmp_path / "comparison.json") == result
    content = json.loads(exact.to_json())
    for damaged in ("{", "[]", json.dumps(content | {"format_version": 99}), json.dumps(content | {"extra": 1})):
        (tmp_path / "bad.json").write_text(damaged)
        with pytest.raises(ValueError, match="not a saved comparison"):
            Comparison.load(tmp_path / "bad.json")


def test_pareto_keeps_what_none_beats(exact):
    front = exact.pareto()
    values = [row.value for row in front]
    costs = [row.cost.value for row in front]
    assert values == sorted(values)
    assert costs == sorted(costs)
    assert "oracle" not in [row.name for row in front]
    assert max(row.value for row in exact.rows if row.kind != "oracle") == values[-1]
    with pytest.raises(ValueError, match="needs costs"):
        compare(POLICIES, replace(example_data(), costs=None), (0,), settings=QUICK).pareto()


def test_plots_are_drawn(exact, on_log, tmp_path):
    pytest.importorskip("matplotlib")
    from bandits.evaluation.plots import plot_learning_curves, plot_pareto

    for index, result in enumerate((exact, on_log)):
        plot_pareto(result, tmp_path / f"{index}.png")
        plot_learning_curves(result, tmp_path / f"curves_{index}.png")
    assert len(list(tmp_path.iterdir())) == 4


def test_tables_name_rows_and_baseline(exact, on_log):
    assert "minus fixed" in exact.to_text()
    assert "| LinUCB | exact |" in exact.to_markdown()
    assert "effective rows" in on_log.to_text()
    with pytest.raises(KeyError, match="no row 'x'"):
        exact["x"]


class Broken(LinTS):
    def _update(self, state, data):
        raise ValueError("cannot learn")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policies": {}}, "at least one policy"),
        ({"policies": {"oracle": Uniform()}}, "'oracle' is that of"),
        ({"policies": {"arm_a": Uniform()}}, "'arm_a' is that of"),
        ({"policies": {"broken": Broken()}}, "policy 'broken', seed 0: cannot learn"),
        ({"seeds": ()}, "seeds must be"),
        ({"seeds": (1, 1)}, "seeds must be"),
        ({"seeds": (-1,)}, "seed must be"),
        ({"settings": replace(QUICK, baseline="nobody")}, "baseline must be one of fixed, LinUCB"),
        ({"data": example_data(1)}, "a split by query needs at least 2 queries"),
    ],
)
def test_bad_input_is_refused(changes, message):
    arguments = {"policies": POLICIES, "data": example_data(), "seeds": (0,), "settings": QUICK} | changes
    with pytest.raises(ValueError, match=message):
        compare(**arguments)


def test_bad_logs_and_estimators_are_refused(log):
    with pytest.raises(ValueError, match="took arm 'arm_c' only"):
        compare(POLICIES, log.subset(log.actions == 0), (0,))
    with pytest.raises(ValueError, match="took arm 'arm_c' only"):
        compare({"x": Uniform()}, log.select_arms(["arm_c"]), (0,))  # one arm in name too
    with pytest.raises(ValueError, match="RejectionReplay leaves rows out"):
        compare(POLICIES, log, (0,), settings=ComparisonSettings(estimators=(RejectionReplay(),)))
    with pytest.raises(ValueError, match="different names"):
        ComparisonSettings(estimators=(IPS(), IPS()))
    with pytest.raises(ValueError, match="a log already"):
        compare(POLICIES, log, (0,), settings=ComparisonSettings(logging_policy=Uniform()))
    with pytest.raises(TypeError, match="must be a Policy"):
        compare({"x": Policy}, log, (0,))


@pytest.mark.parametrize(
    "changes",
    [
        {"test_share": 1.0},
        {"train_shares": ()},
        {"train_shares": (0.5,)},
        {"train_shares": (0.5, 0.2, 1.0)},
        {"n_bootstrap": 0},
        {"confidence": 1.0},
    ],
)
def test_bad_settings_are_refused(changes):
    with pytest.raises(ValueError, match="must"):
        ComparisonSettings(**changes)
