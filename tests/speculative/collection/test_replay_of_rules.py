"""A rule is replayed round by round as the engine runs it, and pays for all that its drafts read."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.protocols.draft_trace import DraftTrace
from speculative.protocols.request import Request
from speculative.targets.rule_arm import RuleArm
from speculative.targets.speculative_arm import SpeculativeArm
from tests.support.tiny_models import Arm, bounded
from tests.support.tiny_pool import plain_costs

LONGEST = 6
NAMES = ("lookup", "lookup_long", "suffix", "like", "short", "trimmed")


def _run(target, arm, prompt, max_new_tokens, eos_ids):
    return generate(Engine(target, [arm]), [Request("q", prompt, max_new_tokens, eos_ids)])[0]


def _trace(drafts, prompt, new_ids, max_new_tokens):
    return Trace(
        query_id="q",
        domain=None,
        prompt_ids=prompt,
        new_ids=new_ids,
        max_new_tokens=max_new_tokens,
        max_draft_length=LONGEST,
        context=np.zeros(1, dtype=np.float32),
        encode_s=0.0,
        drafts={draft.name: trace_draft(draft, prompt, new_ids, LONGEST) for draft in drafts},
    )


@st.composite
def rules(draw):
    """(draft, draft length, threshold) of each clause, and the fallback's draft and length, 0 for no draft."""
    names = draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=4))
    arms = [(name, draw(st.integers(1, LONGEST)), draw(st.integers(0, 4))) for name in names]
    if draw(st.booleans()):
        arms[-1] = ("no_draft", 0, 0)
    return arms


@bounded(max_examples=80)
@given(
    rule=rules(),
    prompt=st.lists(st.sampled_from([1, 2, 3, 7]), min_size=1, max_size=16).map(tuple),
    max_new_tokens=st.integers(1, 20),
    eos_at=st.none() | st.integers(0, 19),
)
def test_a_replayed_rule_has_the_rounds_of_a_real_run(target_and_drafts, rule, prompt, max_new_tokens, eos_at):
    target, drafts = target_and_drafts
    arms = [
        SpeculativeArm(target, NoDraft() if name == "no_draft" else drafts[name], length, name=f"{name} {i}")
        for i, (name, length, _) in enumerate(rule)
    ]
    clauses = [
        (arm, min(least, arm.draft.max_match_length)) for arm, (_, _, least) in zip(arms[:-1], rule[:-1], strict=True)
    ]
    arm = RuleArm(clauses, arms[-1], name="rule")
    plain = _run(target, Arm(NoDraft(), 0), prompt, 20, ())
    eos_ids = () if eos_at is None else (plain.token_ids[eos_at],)
    plain = _run(target, Arm(NoDraft(), 0), prompt, max_new_tokens, eos_ids)
    real = _run(target, arm, prompt, max_new_tokens, eos_ids)
    traced = [draft for draft in arm.drafts if not isinstance(draft, NoDraft)]
    trace = _trace(traced, prompt, plain.token_ids, max_new_tokens)
    played = replay(trace, ArmPlan.of(arm), plain_costs(*(draft.name for draft in traced)))
    assert real.token_ids == plain.token_ids
    assert not real.stats.faults
    assert played.proposed == tuple(real.stats.proposed)
    assert played.accepted == tuple(real.stats.accepted)


def _by_hand(match_lengths, accepted, n_new):
    counts = np.array(accepted, dtype=np.int32)
    return DraftTrace(
        proposed=np.full(n_new, 2, dtype=np.int32),
        accepted=counts,
        match_lengths=None if match_lengths is None else np.array(match_lengths, dtype=np.int32),
    )


def _hand_trace():
    """A text of seven tokens after three: the look-up has matches of 3, 0, 0 and 2 tokens at its four rounds."""
    drafts = {
        "lookup": _by_hand([0, 3, 0, 0, 0, 2, 0], [0, 0, 0, 0, 0, 1, 0], 7),
        "model": _by_hand(None, [0, 0, 0, 1, 0, 0, 0], 7),
    }
    return Trace("q", None, (1, 2, 3), tuple(range(10, 17)), 20, 4, np.zeros(1, dtype=np.float32), 0.0, drafts)


def test_an_idle_draft_is_charged_for_what_it_missed():
    costs, trace = plain_costs("lookup", "model"), _hand_trace()
    played = replay(trace, ArmPlan((("lookup", 2), ("model", 2)), (2,)), costs)
    # rounds begin after 1, 2, 3 and 5 new tokens; the look-up drafts in the first and the last
    assert played.accepted == (0, 0, 1, 1)
    asked = costs.draft_s("lookup", 2, 3) + costs.draft_s("lookup", 0) * 2 + costs.draft_s("lookup", 2)
    model = costs.draft_s("model", 2, 3 + 1) + costs.draft_s("model", 2)  # it reads the prompt and the token it missed
    assert played.seconds == pytest.approx(costs.prefill_s(3) + asked + model + 4 * 1.2)


def test_a_model_that_a_rule_lets_rest_reads_on_from_where_it_stopped():
    costs, trace = plain_costs("lookup", "model"), _hand_trace()
    found = trace.drafts["lookup"].match_lengths
    found[:] = [0, 0, 4, 4, 4, 4, 0]  # the model drafts in the first round and after the sixth token, if at all
    trace.drafts["lookup"].accepted[:] = 0
    played = replay(trace, ArmPlan((("lookup", 2), ("model", 2)), (2,)), costs)
    assert played.accepted == (0,) * 6
    asked = costs.draft_s("lookup", 0, 3) + 4 * costs.draft_s("lookup", 2) + costs.draft_s("lookup", 0)
    model = costs.draft_s("model", 2, 3) + costs.draft_s("model", 2, 4)
    assert played.seconds == pytest.approx(costs.prefill_s(3) + asked + model + 6 * 1.2)


def test_a_rule_needs_match_lengths_and_as_many_as_it_has_clauses():
    trace = _hand_trace()
    with pytest.raises(ValueError, match="draft 'model' was traced without match lengths"):
        replay(trace, ArmPlan((("model", 2), ("lookup", 2)), (1,)), plain_costs("lookup", "model"))
    with pytest.raises(ValueError, match="a plan of 2 drafts must have 1 min_match_lengths, got 0"):
        ArmPlan((("model", 2), ("lookup", 2)))
