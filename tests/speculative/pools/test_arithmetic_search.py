"""The arithmetic that is suggested is the one of least seconds, and a pool file that says so is the same pool."""

import tomllib
from dataclasses import replace

import pytest

from speculative.collection.arm_plan import NO_DRAFT, ArmPlan
from speculative.collection.collect import collect
from speculative.collection.replay import replay
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.measuring.cost_profile import DraftCost
from speculative.models import loading
from speculative.pools import arithmetic_search
from speculative.pools.arithmetic import Arithmetic, MeasuredTarget, arithmetics_of, draft_specs, measure_target
from speculative.pools.arithmetic_search import compare_arithmetics
from speculative.pools.expected_speed import AtAcceptance, OnTraces
from speculative.pools.pool import Pool
from speculative.pools.pool_file import arms_of_file, held_entries, rewritten
from speculative.pools.spec import read_pool_spec
from tests.support.pretended_card import PretendedCard
from tests.support.tiny_pool import POOL, plain_costs, queries, save_pool

DENSE, HALF, FOUR = Arithmetic("float32", "dense"), Arithmetic("bfloat16", "dense"), Arithmetic("float32", "int4")
RULE = """
[[arms]]
kind = "rule"
name = "copy_else_draft"
clauses = [{ arm = "prompt_lookup_7", min_match_length = 2 }]
fallback = "draft_small_2"
"""
EXPECTED = AtAcceptance(0.7, n_new=20, n_prompt=64)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"), pool=POOL + RULE)


def measured_as(monkeypatch, passes, token_s):
    """Let a target's passes take so many times as long, and a draft token so many seconds."""

    def measure(spec, arithmetic, choices, cache, refuse):
        if arithmetic not in passes:
            refuse(f"target, {arithmetic}: too large")
            return None
        costs, factor = plain_costs(), passes[arithmetic]
        costs = replace(
            costs,
            verify_grid=tuple(tuple(factor * s for s in row) for row in costs.verify_grid),
            prefill_grid=tuple(factor * s for s in costs.prefill_grid),
        )
        lookup, draft = draft_specs(spec)
        of_draft = {choice: DraftCost(0.0, seconds, 0.0) for choice, seconds in token_s.items()}
        drafts = {lookup: {arithmetic: DraftCost(0.0, 0.0, 0.0)}, draft: of_draft}
        return MeasuredTarget(arithmetic, costs, drafts, {lookup: "prompt_lookup", draft: "draft_small"})

    monkeypatch.setattr(arithmetic_search, "measure_target", measure)
    monkeypatch.setattr(arithmetic_search, "arithmetics_of", lambda device: [DENSE, HALF, FOUR])


def chosen(file, expected=EXPECTED, allowed=lambda arithmetic: True):
    return compare_arithmetics(read_pool_spec(file), expected, allowed, file.parent / "cache")


def test_the_fastest_target_and_the_fastest_draft_are_chosen_and_what_cannot_be_had_is_said(file, monkeypatch):
    measured_as(monkeypatch, {DENSE: 1.0, HALF: 0.5}, {DENSE: 0.1, HALF: 0.2, FOUR: 0.05})
    choice = chosen(file)
    assert choice.chosen.measured.arithmetic == HALF
    assert choice.refused == ["target, float32 int4: too large"]
    spec = choice.suggested()
    assert (spec.dtype, spec.weights) == ("bfloat16", "dense")
    draft = spec.arms[3].draft
    assert (draft.dtype, draft.weights) == ("float32", "int4")


def test_a_lead_that_may_be_noise_changes_nothing(file, monkeypatch):
    measured_as(monkeypatch, {DENSE: 1.0, HALF: 0.99}, {DENSE: 0.1, FOUR: 0.099})
    spec = read_pool_spec(file)
    assert chosen(file).suggested() == spec
    assert held_entries(arms_of_file(file), spec, chosen(file).suggested()) == arms_of_file(file)


def test_only_an_arithmetic_whose_text_is_allowed_is_chosen(file, monkeypatch):
    measured_as(monkeypatch, {DENSE: 1.0, HALF: 0.5}, {DENSE: 0.1})
    assert chosen(file, allowed=lambda one: one.dtype == "float32").chosen.measured.arithmetic == DENSE
    with pytest.raises(ValueError, match="in no arithmetic: none that is allowed is among those of this device"):
        chosen(file, allowed=lambda one: False)
    with pytest.raises(ValueError, match="in no arithmetic: target, float32 int4: too large"):
        chosen(file, allowed=lambda one: one == FOUR)


def test_a_pool_written_in_another_arithmetic_keeps_its_other_keys_and_its_rules(file, monkeypatch, tmp_path):
    measured_as(monkeypatch, {DENSE: 1.0, HALF: 0.5}, {DENSE: 0.1, HALF: 0.05})
    after = chosen(file).suggested()
    arms = held_entries(arms_of_file(file), read_pool_spec(file), after)
    out = tmp_path / "pool.toml"
    out.write_text(rewritten(file, {"dtype": after.dtype, "weights": after.weights, "arms": arms}))
    written, before = tomllib.loads(out.read_text()), tomllib.loads(file.read_text())
    assert {key: written[key] for key in ("max_new_tokens", "max_batch", "encoder")} == {
        key: before[key] for key in ("max_new_tokens", "max_batch", "encoder")
    }
    pool = Pool.load(out, tmp_path / "cache")
    assert "draft_small_bfloat16_2" in pool.arms.names
    assert [arm.name for arm in pool.arms["copy_else_draft"].arms] == ["prompt_lookup_7", "draft_small_bfloat16_2"]


def test_at_an_acceptance_an_answer_takes_its_prompt_and_as_many_rounds_as_its_tokens_need():
    costs = plain_costs("draft")
    expected = AtAcceptance(0.5, n_new=21, n_prompt=32)
    rounds = 20 / (1 + 0.5 + 0.25)
    seconds = costs.prefill_s(32) + 32 * 0.001 + rounds * (costs.verify_s(3, 32) + costs.draft_s("draft", 2))
    assert expected.tokens_per_s(ArmPlan.fixed("draft", 2), costs) == pytest.approx(21 / seconds)
    assert expected.tokens_per_s(NO_DRAFT, costs) == pytest.approx(21 / costs.plain_s(32, 21))
    with pytest.raises(ValueError, match=r"acceptance must be in \[0, 1\), got 1"):
        AtAcceptance(1.0, n_new=21)


def test_on_traces_an_arm_is_priced_by_its_replayed_seconds(file, tmp_path):
    costs = plain_costs("prompt_lookup", "draft_small")
    collect(queries(3), Pool.load(file, tmp_path / "cache"), tmp_path / "data", costs)
    traces = [trace for part in read_trace_parts(tmp_path / "data" / TRACES) for trace in part]
    plan = ArmPlan.fixed("draft_small", 2)
    seconds = sum(replay(trace, plan, costs).seconds for trace in traces)
    n_tokens = sum(len(trace.new_ids) for trace in traces)
    assert OnTraces(traces).tokens_per_s(plan, costs) == pytest.approx(n_tokens / seconds)


def test_every_draft_is_timed_and_one_that_cannot_be_had_in_an_arithmetic_is_a_line(file, tmp_path):
    refused = []
    spec = read_pool_spec(file)
    found = measure_target(spec, DENSE, [DENSE, FOUR], tmp_path, refused.append)
    assert [found.name_of(arm) for arm in spec.arms[:4]] == [
        "no_draft",
        "prompt_lookup_3",
        "prompt_lookup_7",
        "draft_small_2",
    ]
    lookup, draft = draft_specs(spec)
    assert set(found.drafts[lookup]) == {DENSE}
    assert set(found.drafts[draft]) == {DENSE}
    assert found.drafts[draft][DENSE].round_s + found.drafts[draft][DENSE].token_s > 0
    [line] = refused  # rows of 16 weights hold no block of 32
    assert line.startswith("draft ")
    assert "float32 int4: " in line
    assert measure_target(spec, FOUR, [DENSE], tmp_path, refused.append) is None
    with pytest.raises(ValueError, match="can be had in no arithmetic that was tried"):
        measure_target(spec, DENSE, [FOUR], tmp_path, refused.append)


def test_what_the_memory_does_not_hold_is_a_line_that_says_so(file, monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "free_bytes", lambda device: 1000)
    refused = []
    assert measure_target(read_pool_spec(file), DENSE, [DENSE], tmp_path, refused.append) is None
    [line] = refused
    assert line.startswith("target, float32 dense: ")
    assert "GB are free" in line
    assert "\n" not in line


def test_the_usual_arithmetic_comes_first():
    assert arithmetics_of("cpu")[0] == DENSE
    assert [one.weights for one in arithmetics_of("meta")] == ["dense"] * 3
    with PretendedCard():
        assert [str(one) for one in arithmetics_of("cuda")[3:]] == ["bfloat16 int4", "bfloat16 fp8"]
