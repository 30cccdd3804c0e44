"""Replayed rounds are those of a real run, whatever the draft, its length, the end of the text and the limit."""

import copy
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speculative.collection.arm_plan import NO_DRAFT, ArmPlan
from speculative.collection.replay import Replayer, replay
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.protocols.draft_trace import DraftTrace
from speculative.protocols.request import Request
from tests.support.tiny_models import Arm, ScriptedDraft, bounded
from tests.support.tiny_pool import plain_costs

LONGEST = 6


def _half_right(target_text):
    """Right for a while, then wrong, of a length that depends on the prefix; ignorant of the prefix otherwise."""

    def script(prefix, draft_length):
        rng = random.Random(len(prefix))
        proposed = list(target_text[len(prefix) :][: rng.randrange(LONGEST + 2)])
        if proposed and rng.random() < 0.5:
            proposed[rng.randrange(len(proposed))] = 0
        return proposed[:draft_length]

    return script


def _run(target, arm, prompt, max_new_tokens, eos_ids):
    engine = Engine(target, [arm])
    return generate(engine, [Request("q", prompt, max_new_tokens, eos_ids)])[0]


def _trace(draft, prompt, new_ids, max_new_tokens):
    return Trace(
        query_id="q",
        domain=None,
        prompt_ids=prompt,
        new_ids=new_ids,
        max_new_tokens=max_new_tokens,
        max_draft_length=LONGEST,
        context=np.zeros(1, dtype=np.float32),
        encode_s=0.0,
        drafts={draft.name: trace_draft(draft, prompt, new_ids, LONGEST)},
    )


def _assert_rounds_equal(target, draft, draft_length, prompt, max_new_tokens, eos_ids):
    plain = _run(target, Arm(NoDraft(), 0), prompt, max_new_tokens, eos_ids)
    real = _run(target, Arm(draft, draft_length), prompt, max_new_tokens, eos_ids)
    trace = _trace(draft, prompt, plain.token_ids, max_new_tokens)
    played = replay(trace, ArmPlan.fixed(draft.name, draft_length), plain_costs(draft.name))
    assert real.token_ids == plain.token_ids
    assert played.proposed == tuple(real.stats.proposed)
    assert played.accepted == tuple(real.stats.accepted)
    return played


prompts = st.lists(st.sampled_from([1, 2, 3, 7]), min_size=1, max_size=16).map(tuple)


@bounded(max_examples=80)
@given(
    kind=st.sampled_from(["lookup", "lookup_long", "like", "short", "trimmed", "unsure", "unsure_short", "scripted"]),
    draft_length=st.integers(1, LONGEST),
    prompt=prompts,
    max_new_tokens=st.integers(1, 20),
    eos_at=st.none() | st.integers(0, 19),
)
def test_replayed_rounds_are_those_of_a_real_run(target_and_drafts, kind, draft_length, prompt, max_new_tokens, eos_at):
    target, drafts = target_and_drafts
    text = _run(target, Arm(NoDraft(), 0), prompt, 20, ()).token_ids
    eos_ids = () if eos_at is None else (text[eos_at],)
    draft = drafts[kind] if kind != "scripted" else ScriptedDraft("scripted", _half_right([*prompt, *text]))
    _assert_rounds_equal(target, draft, draft_length, prompt, max_new_tokens, eos_ids)


@bounded(max_examples=20)
@given(draft_length=st.integers(1, LONGEST), prompt=prompts, kind=st.sampled_from(["unsure", "unsure_short"]))
def test_a_draft_that_stops_is_charged_for_each_of_its_passes(target_and_drafts, kind, draft_length, prompt):
    target, drafts = target_and_drafts
    draft = copy.copy(drafts[kind])
    draft.model = CountingRows(draft.model)
    played = _assert_rounds_equal(target, drafts[kind], draft_length, prompt, 20, ())
    _run(target, Arm(draft, draft_length), prompt, 20, ())
    [plain] = generate(Engine(target, [Arm(NoDraft(), 0)]), [Request("q", prompt, 20)])
    trace, n_done, n_drafted = _trace(drafts[kind], prompt, plain.token_ids, 20), 1, 0
    for n_accepted in played.accepted:
        n_drafted += trace.n_drafted(draft.name, draft_length, n_done)
        n_done += n_accepted + 1
    assert draft.model.n_rows == n_drafted


class CountingRows:
    """A model that counts the rows of logits that it was asked for, one a draft token."""

    def __init__(self, model):
        self.model, self.n_rows = model, 0

    def __getattr__(self, name):
        return getattr(self.model, name)

    def forward(self, batch, cache, logit_rows=None):
        self.n_rows += 1
        return self.model.forward(batch, cache, logit_rows)


def test_proposals_after_an_accepted_end_of_text_do_not_count(target_and_drafts):
    target, _ = target_and_drafts
    prompt = (1, 2, 3)
    text = _run(target, Arm(NoDraft(), 0), prompt, 20, ()).token_ids
    end = next(i for i in range(2, 20) if text[i] not in text[:i])
    draft = ScriptedDraft("sure", lambda prefix, n: list([*prompt, *text][len(prefix) :][:n]))
    played = _assert_rounds_equal(target, draft, LONGEST, prompt, 20, (text[end],))
    assert played.proposed[-1] == played.accepted[-1] < LONGEST


def test_seconds_are_the_sum_of_prefill_drafting_and_verification():
    trace = Trace("q", None, (1, 2, 3), (4, 5, 6, 7), 8, 4, np.zeros(1, dtype=np.float32), 0.0, {})
    costs = plain_costs("draft")
    assert replay(trace, NO_DRAFT, costs).seconds == pytest.approx(costs.prefill_s(3) + 3 * 1.0)
    accepted = np.array([0, 1, 0, 0], dtype=np.int32)
    drafts = {"draft": DraftTrace(np.array([0, 4, 4, 4], dtype=np.int32), accepted)}
    trace = Trace("q", None, (1, 2, 3), (4, 5, 6, 7), 8, 4, np.zeros(1, dtype=np.float32), 0.0, drafts)
    played = replay(trace, ArmPlan.fixed("draft", 4), costs)
    assert (played.proposed, played.accepted) == ((4, 4), (1, 0))
    expected = costs.prefill_s(3) + costs.draft_s("draft", 4, 3) + costs.draft_s("draft", 4) + 2 * 1.4
    assert played.seconds == pytest.approx(expected)


def test_no_draft_proposes_nothing(target_and_drafts):
    target, _ = target_and_drafts
    plain = _run(target, Arm(NoDraft(), 0), (1, 2), 9, ())
    trace = _trace(PromptLookup(), (1, 2), plain.token_ids, 9)
    played = replay(trace, NO_DRAFT, plain_costs())
    assert played.proposed == tuple(plain.stats.proposed) == (0,) * 8


def test_what_was_not_traced_is_refused():
    trace = Trace("q", None, (1,), (2, 3), 8, 4, np.zeros(1, dtype=np.float32), 0.0, {})
    with pytest.raises(ValueError, match="no trace of draft 'other'"):
        replay(trace, ArmPlan.fixed("other", 2), plain_costs())
    with pytest.raises(ValueError, match="draft_length must be <= 4"):
        replay(trace, ArmPlan.fixed("other", 5), plain_costs())
    with pytest.raises(ValueError, match="max_draft_length must be an integer >= 1, got 0"):
        trace_draft(PromptLookup(), (1,), (2,), 0)


def test_the_plain_seconds_of_a_text_are_those_of_a_replay_without_a_draft():
    trace = Trace("q", None, (1, 2, 3), (4, 5, 6, 7), 8, 4, np.zeros(1, dtype=np.float32), 0.0, {})
    costs = plain_costs()
    assert Replayer(trace, costs).plain_s == pytest.approx(replay(trace, NO_DRAFT, costs).seconds)


def test_a_draft_is_asked_where_there_is_room_and_its_trace_reaches():
    counts = np.array([0, 4, 2, 4], dtype=np.int32), np.array([0, 3, 2, 0], dtype=np.int32)
    drafts = {"draft": DraftTrace(*counts, max_positions=6)}
    trace = Trace("q", None, (1, 2, 3), (4, 5, 6, 7), 5, 4, np.zeros(1, dtype=np.float32), 0.0, drafts)
    assert trace.proposal("draft", 2, 1) == (2, 2)
    assert trace.proposal("draft", 4, 1) == (3, 3)  # room for three and the target's own
    assert trace.proposal("draft", 4, 2) == (2, 2)  # stops early
    assert trace.proposal("draft", 4, 3) == (-1, 0)  # the prefix is as long as the draft can read
    assert trace.proposal("draft", 0, 1) == trace.proposal("other", 4, 1) == (-1, 0)
    assert not trace.can_draft("draft", 3)
