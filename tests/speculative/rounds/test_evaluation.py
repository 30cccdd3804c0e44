"""Selectors are valued on prompts that they did not see, beside what hindsight could reach."""

import numpy as np
import pytest

from bandits.statistics.estimate import Estimate
from speculative.collection.replay import replay
from speculative.rounds import RoundEvaluation, TrainingSettings, evaluate_rounds
from speculative.selectors.fixed import FixedSelector

QUICK = TrainingSettings(n_walks=1, n_passes=1, n_prompt_features=2)


def test_each_prompt_is_held_out_once_and_hindsight_bounds_what_is_learned(traced_pool):
    seen = []

    def first_arm(train):
        seen.append({trace.query_id for trace in train})
        return FixedSelector(0)

    traces, arms, costs = traced_pool.traces, traced_pool.arms, traced_pool.costs
    found = evaluate_rounds(traces, arms, costs, selectors={"no draft": first_arm}, n_folds=3, settings=QUICK)
    assert found.n_queries == len(traces)
    held_out = [{trace.query_id for trace in traces} - train for train in seen]
    assert sum(len(one) for one in held_out) == len(traces)
    assert set.union(*held_out) == {trace.query_id for trace in traces}
    assert found.selectors["no draft"].value <= found.query_oracle.value <= found.clairvoyant.value
    fixed = np.array([[replay(trace, plan, costs).seconds for plan in arms.values()] for trace in traces])
    assert found.query_oracle.value >= fixed.sum(axis=0).min() / fixed.min(axis=1).sum() - 1e-9


def test_what_is_learned_and_the_published_rules_are_valued_by_default_and_a_sentence_says_what_to_do(traced_pool):
    found = evaluate_rounds(traced_pool.traces, traced_pool.arms, traced_pool.costs, n_folds=2, settings=QUICK)
    assert {
        "GatedSelector",
        "SpeedSelector",
        "arm per query",
        "UCBSpec",
        "EXP3Spec",
        "HedgeSpec",
        "TapOut",
        "PriorityRule",
        "AcceptanceGate",
        "LinUCB per round",
        "HybridVerified",
    } <= set(found.selectors)
    assert all(one.value <= found.clairvoyant.value * (1 + 1e-9) for one in found.selectors.values())
    text = str(found)
    assert "clairvoyant per round" in text
    assert text.splitlines()[-1] == found.conclusion()


def test_the_sentence_names_the_arm_where_nothing_is_surely_faster(traced_pool):
    one = evaluate_rounds(
        traced_pool.traces, traced_pool.arms, traced_pool.costs, selectors={"no": lambda _: FixedSelector(0)}
    )
    assert isinstance(one, RoundEvaluation)
    assert "No selector is surely faster" in one.conclusion()


def test_the_table_says_how_far_each_is_from_hindsight():
    one, oracle, clairvoyant = (Estimate(value, value, value) for value in (0.9, 1.2, 1.5))
    heading, row, _, last, _ = str(RoundEvaluation({"rule": one}, oracle, clairvoyant, 3)).splitlines()
    assert heading.split() == ["of", "oracle", "of", "clairvoyant"]
    assert row.split() == ["rule", "0.900", "[0.900,", "0.900]", "75.0%", "60.0%"]
    assert last.split()[-2:] == ["125.0%", "100.0%"]


def test_one_prompt_cannot_be_held_out(traced_pool):
    with pytest.raises(ValueError, match="traces must be an integer >= 2, got 1"):
        evaluate_rounds(traced_pool.traces[:1], traced_pool.arms, traced_pool.costs)
