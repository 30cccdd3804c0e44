"""Values through time: exact where every reward is known, unbiased on a log, of rows that were not learned from yet."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from bandits import (
    BestFixedArm,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    LoggedData,
    Softmax,
    Uniform,
)
from bandits.evaluation import RollingEvaluation, RollingSettings, evaluate_rolling
from bandits.evaluation.rolling_path import path_of, rewards_of_arms
from bandits.policies import Discounted, Hedge
from bandits.seeds import SeedTree
from bandits.simulation.environments import DriftingEnvironment
from bandits.testing import example_data

FEW = RollingSettings(n_windows=4, n_first=1, n_bootstrap=50)
LEARNERS = {"softmax": Softmax(BestFixedArm()), "ridge": LinUCB()}


def full(n=80, at=None, seed=0):
    """Arm b is better by 0.4 where the context is above 0, and after a row `at` it is a, everywhere."""
    rng = np.random.default_rng(seed)
    contexts = rng.normal(size=(n, 2)).astype(np.float32)
    gain = 0.2 * np.sign(contexts[:, 0])
    gain[n if at is None else at :] = -0.4
    rewards = 0.5 + np.stack([-gain, gain], axis=1) + rng.uniform(-0.1, 0.1, (n, 2))
    return FullInformationData(contexts, rewards, ("a", "b"), times=np.arange(n))


class TestOnFullInformation:
    def test_a_value_is_what_the_probabilities_of_the_moment_earn(self):
        data = full()
        result = evaluate_rolling(Softmax(BestFixedArm()), data, (0,), settings=replace(FEW, learn_from="all"))
        policy = Softmax(BestFixedArm(("a", "b")))
        policy.start(("a", "b"), 2)
        earned = np.zeros(80)
        for row in range(80):
            if row == 20:
                frozen = policy.probabilities(data.contexts[20:])
            earned[row] = policy.probabilities(data.contexts[[row]])[0] @ data.rewards[row]
            policy.update(data.subset([row]))
        assert result["Softmax"].value == pytest.approx(earned[20:].mean())
        assert [point.value for point in result.points if point.name == "Softmax"] == pytest.approx(
            earned.reshape(4, 20).mean(axis=1)
        )
        assert result["Softmax, frozen"].value == pytest.approx((frozen * data.rewards[20:]).sum(axis=1).mean())

    def test_differences_and_regret_are_those_of_the_values(self):
        result = evaluate_rolling(LEARNERS, full(), (0, 1), settings=FEW)
        row, fixed = result["ridge"], result["best fixed arm"]
        assert row.difference.value == pytest.approx(row.value - fixed.value)
        assert row.over_frozen.value == pytest.approx(row.value - result["ridge, frozen"].value)
        assert row.value == pytest.approx(np.mean(row.by_seed))
        best = np.mean([window.best_value for window in result.windows[1:]])
        assert row.regret.value == pytest.approx(best - row.value)
        own = {point.window: point for point in result.points if point.name == "ridge"}
        fixed_points = {point.window: point for point in result.points if point.name == "best fixed arm"}
        so_far = np.mean([own[window].value - fixed_points[window].value for window in (2, 3)])
        assert own[3].difference_so_far.value == pytest.approx(so_far)
        assert own[1].difference_so_far is None
        assert own[1].value == pytest.approx(result.windows[0].best_value - own[1].regret.value)
        assert own[4].difference_so_far.value == pytest.approx(row.difference.value)
        assert own[4].over_frozen_so_far.value == pytest.approx(row.over_frozen.value)

    def test_the_fixed_arm_is_picked_on_the_first_part_and_each_windows_best_arm_on_it(self):
        data = full(at=40)
        data = replace(data, rewards=data.rewards + np.where(np.arange(80)[:, None] < 40, [0.0, 1.0], 0.0))
        result = evaluate_rolling(Uniform(), data, (0,), settings=FEW)
        assert [window.best_arm for window in result.windows] == ["b", "b", "a", "a"]
        assert result["best fixed arm"].value == pytest.approx(data.rewards[20:, 1].mean())
        assert result.conclusion.fixed_arms == ("b",)

    def test_hedge_sees_every_reward_and_others_the_one_they_drew(self):
        seen = []

        class Seeing(BestFixedArm):
            def _update(self, state, data):
                seen.append(data)
                return super()._update(state, data)

        class SeeingHedge(Hedge):
            def _update(self, state, data):
                seen.append(data)
                return super()._update(state, data)

        evaluate_rolling(EpsilonGreedy(SeeingHedge(), epsilon=0.1), full(), (0,), settings=FEW)
        assert all(isinstance(data, FullInformationData) for data in seen)
        seen.clear()
        evaluate_rolling(Seeing(), full(), (0,), settings=FEW)
        assert all(isinstance(data, LoggedData) for data in seen)
        assert sum(map(len, seen)) == 80

    def test_an_arm_that_is_not_observed_cannot_be_chosen_and_fixed_it_stands_for_any_other(self):
        data = full()
        observed = np.ones((80, 3), bool)
        observed[40:, 1] = False
        rewards = np.column_stack([data.rewards, data.rewards[:, 0] - 5])
        part = replace(data, rewards=rewards, observed=observed, arm_names=("a", "b", "c"))
        result = evaluate_rolling({"b first": Uniform()}, part, (0,), settings=FEW)
        uniform = np.where(observed, rewards, 0).sum(axis=1) / observed.sum(axis=1)
        assert result["b first"].value == pytest.approx(uniform[20:].mean())
        assert "40 rows do not observe every arm" in " ".join(result.notes)
        assert [str(change) for change in result.changes] == ["arm 'b' is in the data up to row 39 (time 39)"]

    def test_rows_are_taken_in_order_of_time(self):
        data = full()
        order = np.random.default_rng(3).permutation(80)
        assert evaluate_rolling(LEARNERS, data.subset(order), (0,), settings=FEW) == evaluate_rolling(
            LEARNERS, data, (0,), settings=FEW
        )

    def test_rewards_net_of_costs_are_learned_from_and_earned(self):
        data = replace(full(), costs=np.tile([0.0, 1.0], (80, 1)))
        net = evaluate_rolling(LEARNERS, data, (0,), settings=replace(FEW, cost_weight=0.3))
        by_hand = replace(data, rewards=data.rewards - 0.3 * data.costs)
        assert net.rows == evaluate_rolling(LEARNERS, by_hand, (0,), settings=FEW).rows
        assert "the reward is reward - 0.3 * cost" in net.notes

    def test_where_rewards_change_policies_that_forget_win(self):
        batch = DriftingEnvironment(n_arms=3, n_features=4, n_changes=2).draw(1200, np.random.default_rng(0))
        data = FullInformationData(batch.contexts, batch.means, ("a", "b", "c"), times=np.arange(1200))
        policies = {"remembers": LinUCB(), "forgets": Discounted(LinUCB(), discount=0.97)}
        settings = RollingSettings(update_every=5, n_bootstrap=200)
        result = evaluate_rolling(policies, data, (0, 1), settings=settings)
        assert result["forgets"].low > result["remembers"].high
        assert result["forgets"].over_frozen.low > 0
        assert "let it go on learning" in result.on_learning
        assert result.conclusion.policy == "forgets"
        assert result.conclusion.gains


class TestOnALog:
    def test_values_are_unbiased_over_all_logs_whatever_was_learned_and_logged(self):
        """Every log of six rows, each weighted with its probability, of a logging policy that differs by row."""
        rng = np.random.default_rng(0)
        contexts, rewards = rng.normal(size=(6, 2)), rng.normal(size=(6, 2))
        of_first = np.array([0.5, 0.3, 0.7, 0.2, 0.6, 0.9])
        expected = estimated = 0.0
        for actions in itertools.product((0, 1), repeat=6):
            taken = np.array(actions)
            propensities = np.where(taken == 0, of_first, 1 - of_first)
            log = LoggedData(contexts, taken, rewards[np.arange(6), taken], propensities, ("a", "b"), times=range(6))
            path = path_of(Softmax(LinUCB(ucb_width=0.0)), log, 3, 1, "all", SeedTree(0))
            weight = propensities.prod()
            expected += weight * (path.probabilities * rewards).sum()
            estimated += weight * (path.probabilities * rewards_of_arms(log)).sum()
        assert estimated == pytest.approx(expected, abs=1e-12)

    def test_a_uniform_log_shows_a_policy_what_it_would_have_chosen(self):
        shown = []

        class Seeing(BestFixedArm):
            def _update(self, state, data):
                shown.append(data)
                return super()._update(state, data)

        log = full(n=4000).log_with(Uniform(), np.random.default_rng(0))
        path = path_of(EpsilonGreedy(Seeing(), epsilon=0.2), log, 1000, 1, "own", SeedTree(0))
        own = np.concatenate([data.propensities for data in shown])
        actions = np.concatenate([data.actions for data in shown])
        assert path.n_learned == len(own) == pytest.approx(2000, abs=4 * np.sqrt(1000))
        assert np.all(np.isin(own.round(6), [0.1, 0.5, 0.9]))
        assert (own == 0.9).mean() == pytest.approx(0.9, abs=0.03)
        assert len(set(actions.tolist())) == 2

    def test_estimates_are_near_the_exact_values(self):
        data = full(n=3000, at=1500)
        settings = RollingSettings(n_windows=5, n_first=1, n_bootstrap=100, update_every=10)
        policies = {"ridge": LinUCB(ucb_width=0.3)}
        logging = EpsilonGreedy(LinUCB(), epsilon=0.5).fit(data.subset(range(50)))
        for log in (data.log_with(policy, np.random.default_rng(1)) for policy in (Uniform(), logging)):
            result = evaluate_rolling(policies, log, (0, 1), settings=settings)
            low, high = result["best fixed arm"].interval
            fixed = result.conclusion.fixed_arms[0]
            assert low < data.rewards[600:, ("a", "b").index(fixed)].mean() < high
            exact = evaluate_rolling(policies, data, (0, 1), settings=settings)
            assert result["ridge"].value == pytest.approx(exact["ridge"].value, abs=0.08)
            assert result["ridge"].problems == ()

    def test_other_logs_are_learned_from_whole(self):
        logging = EpsilonGreedy(LinUCB(), epsilon=0.5).fit(full(n=20))
        log = full(n=400).log_with(logging, np.random.default_rng(1))
        result = evaluate_rolling(LEARNERS, log, (0,), settings=FEW)
        assert result["ridge"].n_learned == 400
        assert "whole log" in result.learned_from
        own = evaluate_rolling(LEARNERS, log, (0,), settings=replace(FEW, learn_from="own"))
        assert 0 < own["ridge"].n_learned < 200

    def test_a_log_that_cannot_support_a_value_is_said_to(self):
        logging = EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.02).fit(full(n=60, at=0))
        log = full(n=200).log_with(logging, np.random.default_rng(1))
        result = evaluate_rolling(LEARNERS, log, (0,), settings=FEW)
        supported = [row.name for row in result if not row.problems]
        assert supported == ["softmax, frozen"]
        assert not result.conclusion.supported
        assert "cannot support an estimate" in result.to_text()
        assert "the log cannot support this" in result.on_learning

    def test_row_weights_count(self):
        log = full(n=400).log_with(Uniform(), np.random.default_rng(1))
        doubled = replace(log, weights=np.repeat([1.0, 3.0], 200))
        result = evaluate_rolling(Uniform(), doubled, (0,), settings=FEW)
        rewards = rewards_of_arms(doubled).mean(axis=1)
        assert result["Uniform"].value == pytest.approx(np.average(rewards[100:], weights=doubled.weights[100:]))


def test_policies_that_draw_run_once_a_seed_and_one_seed_is_one_result():
    one, again = (evaluate_rolling(LinTS(), full(), (3, 4), settings=FEW) for _ in range(2))
    assert one == again
    assert one["LinTS"].by_seed[0] != one["LinTS"].by_seed[1]


def test_a_result_is_saved_and_read_back():
    result = evaluate_rolling(LEARNERS, full(at=40), (0,), settings=FEW)
    assert RollingEvaluation.from_json(result.to_json()) == result
    assert result.on_learning in result.to_markdown()
    assert len(result.window_table().lines) == len(result.points) == 4 * 3 + 3 * 2
    assert [row.name for row in result] == ["softmax", "ridge", "softmax, frozen", "ridge, frozen", "best fixed arm"]


@pytest.mark.parametrize(
    ("change", "policies", "message"),
    [
        ({"times": None}, LEARNERS, "evaluate_rolling needs times"),
        ({"times": np.zeros(80)}, LEARNERS, "all rows are of one moment"),
        ({"observed": np.tile([True, False], (80, 1))}, LEARNERS, "give a log with its propensities"),
        ({}, {}, "at least one policy"),
        ({}, {"best fixed arm": LinUCB()}, "choose another"),
        ({}, {"x": LinUCB(), "x, frozen": LinUCB()}, "that of the copy of 'x'"),
        ({}, {"x": LinUCB(arm_names=("a", "c"))}, "policy 'x', seed 0: the data hold arm 'b'"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(change, policies, message):
    with pytest.raises(ValueError, match=message):
        evaluate_rolling(policies, replace(full(), **change), (0,), settings=FEW)


def test_logs_and_settings_that_cannot_answer_are_refused():
    log = full().log_with(Uniform(), np.random.default_rng(0))
    certain = replace(log, propensities=np.ones(80), action_probabilities=None)
    with pytest.raises(ValueError, match="every propensity is 1"):
        evaluate_rolling(LEARNERS, certain, (0,), settings=FEW)
    always_a = replace(log, actions=np.zeros(80, int), propensities=np.full(80, 0.5), action_probabilities=None)
    with pytest.raises(ValueError, match="took arm 'a' only"):
        evaluate_rolling(LEARNERS, always_a, (0,), settings=FEW)
    with pytest.raises(ValueError, match="window 4 has weight 0"):
        evaluate_rolling(LEARNERS, replace(log, weights=np.repeat([1.0, 0.0], [60, 20])), (0,), settings=FEW)
    with pytest.raises(ValueError, match="n_windows 10 needs at least 80 rows, got 79"):
        evaluate_rolling(LEARNERS, full(79))
    with pytest.raises(ValueError, match="different integers"):
        evaluate_rolling(LEARNERS, full(), (1, 1))
    with pytest.raises(TypeError, match="data must be"):
        evaluate_rolling(LEARNERS, np.ones((3, 2)))
    for wrong in ({"n_first": 10}, {"learn_from": "log"}, {"update_every": 0}, {"n_windows": 1}, {"confidence": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RollingSettings(**wrong)
    with pytest.raises(ValueError, match="needs times"):
        evaluate_rolling(LEARNERS, example_data())


@pytest.mark.parametrize("start", [0.0, 1.77e9])
def test_it_is_drawn_over_dates_and_over_other_times(tmp_path, start):
    pytest.importorskip("matplotlib")
    from bandits.evaluation.plots import plot_rolling

    data = replace(full(at=40), times=start + 3600.0 * np.arange(80))
    plot_rolling(evaluate_rolling(LEARNERS, data, (0,), settings=FEW), tmp_path / "rolling.png")
    assert (tmp_path / "rolling.png").stat().st_size > 10_000
