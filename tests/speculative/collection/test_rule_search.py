"""The search finds the rule that traces call for, and pays with prompts that it has not seen."""

import numpy as np
import pytest

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.rule_search import suggest_rules
from speculative.collection.trace import Trace
from speculative.drafts.no_draft import NoDraft
from speculative.protocols.draft_trace import DraftTrace
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.tiny_models import ScriptedDraft
from tests.support.tiny_pool import plain_costs

N_NEW = 60
COSTS = plain_costs("look", "model", token_s=0.2)


def _draft(name, longest):
    draft = ScriptedDraft(name, lambda prefix, n: [])
    draft.max_match_length = longest
    return draft


def _arms(longest=8):
    target = object()
    drafts = [(NoDraft(), 0), (_draft("look", longest), 4), (_draft("model", 0), 2)]
    return [SpeculativeArm(target, draft, length) for draft, length in drafts]


def _traces(n, rule):
    """Where the match is of 3 tokens or more, the look-up is right and the model wrong; elsewhere the other way."""
    rng = np.random.default_rng(0)
    traces = []
    for i in range(n):
        matches = rng.integers(0, 6, N_NEW).astype(np.int32)
        found = matches >= 3 if rule else rng.random(N_NEW) < 2
        room = N_NEW - np.arange(N_NEW)
        look = np.where(found, np.minimum(4, room), 0).astype(np.int32)
        model = np.where(found, 0, np.minimum(2, room)).astype(np.int32)
        drafts = {
            "look": DraftTrace(np.full(N_NEW, 4, dtype=np.int32), look, matches),
            "model": DraftTrace(np.full(N_NEW, 2, dtype=np.int32), model),
        }
        new = tuple(range(N_NEW))
        traces.append(Trace(f"q{i}", None, (1, 2), new, 200, 4, np.zeros(1, dtype=np.float32), 0.0, drafts))
    return traces


def test_the_rule_that_the_traces_call_for_is_found():
    traces = _traces(12, rule=True)
    found = suggest_rules(traces, _arms(), COSTS)
    assert (found.rules[0].clauses, found.rules[0].fallback) == ((("look_4", 3),), "model_2")
    assert found.gain.low > 1.1
    assert found.arms == ("no_draft", "look_4", "model_2")
    assert "held out" in str(found)
    plans = {arm.name: ArmPlan.of(arm) for arm in _arms()}
    seconds = {name: sum(replay(trace, plan, COSTS).seconds for trace in traces) for name, plan in plans.items()}
    ours = sum(replay(trace, found.rules[0].plan(plans), COSTS).seconds for trace in traces)
    assert found.gain.value == pytest.approx(min(seconds.values()) / ours)


def test_no_rule_is_suggested_where_one_arm_is_always_right():
    found = suggest_rules(_traces(6, rule=False), _arms(), COSTS)
    assert found.rules == ()
    assert found.arms == ("no_draft", "look_4")
    assert "no rule is worth having" in str(found)


def test_thresholds_stay_within_what_a_look_up_can_find():
    found = suggest_rules(_traces(6, rule=True), _arms(longest=2), COSTS)
    assert all(least <= 2 for rule in found.rules for _, least in rule.clauses)


def test_one_prompt_is_not_enough():
    with pytest.raises(ValueError, match="searched on at least 2 prompts, got 1"):
        suggest_rules(_traces(1, rule=True), _arms(), COSTS)
