"""Reports of rounds: they agree with what is counted, say what was known, and change nothing."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arms.fingerprint import digest
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.drafts.suffix.draft import SuffixDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.drafting_rule import DraftingRule
from speculative.protocols.request import Request
from speculative.protocols.round_report import accepted_of_proposed
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, TEXT_LENGTH, RandomSelector
from tests.support.tiny_models import N_VOCAB, Arm, ScriptedDraft, bounded

REPORTED = SamplingParams(rounds=True)


class Turns(DraftingRule):
    """Its arms in turn."""

    def __init__(self, arms):
        self.name, self.arms, self.draft_length = "turns", arms, max(arm.draft_length for arm in arms)

    def choose(self, round_):
        return round_.n_new % len(self.arms)


class BrokenLookup(ScriptedDraft):
    """Says that it looks things up, and fails when asked."""

    max_match_length = 8

    def __init__(self):
        super().__init__("broken_lookup", lambda prefix, n: [1] * n)

    def open(self, prompt, shared=None):
        session = super().open(prompt, shared)
        session.match_length = self.fail
        return session

    def fail(self, prefix):
        raise RuntimeError("no index")


def _request(name, prompt, n_new=TEXT_LENGTH, eos_ids=(), sampling=REPORTED):
    return Request(name, prompt, n_new, eos_ids, sampling=sampling)


@bounded(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    max_batch=st.integers(1, 3),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=4),
    prompts=st.lists(st.sampled_from(PROMPTS), min_size=1, max_size=4),
    eos_ids=st.lists(st.integers(0, N_VOCAB - 1), max_size=2, unique=True).map(tuple),
    sampling=st.sampled_from([SamplingParams(), SamplingParams(0.8, seed=5, verification="rejection")]),
)
def test_reports_agree_with_the_counts_the_text_and_the_seconds(
    target, drafts, seed, max_batch, names, prompts, eos_ids, sampling
):
    lengths = itertools.cycle([3, 1, 7])
    fixed = [Arm(drafts[name], next(lengths)) for name in names] + [Arm(drafts["no_draft"], 0)]
    arms = [*fixed, Turns(fixed)]
    engine = Engine(target.decoder, arms, RandomSelector(len(arms), seed), settings=EngineSettings(max_batch=max_batch))
    asked = [
        _request(str(i), prompt, eos_ids=eos_ids, sampling=replace(sampling, rounds=True))
        for i, prompt in enumerate(prompts)
    ]
    for generation in generate(engine, asked):
        stats, rounds = generation.stats, generation.rounds
        assert [one.arm for one in rounds] == [arms[action].name for action in stats.actions]
        assert [one.n_proposed for one in rounds] == stats.proposed
        assert [one.n_accepted for one in rounds] == stats.accepted
        assert (
            *generation.token_ids[:1],
            *(token for one in rounds for token in one.token_ids),
        ) == generation.token_ids
        for one in rounds:
            assert one.proposed_ids[: one.n_accepted] == one.token_ids[: one.n_accepted]
            assert one.arm in (one.drafted_by, "turns")
            assert one.drafted_by.startswith(one.draft)
        assert sum(one.n_caught_up for one in rounds) == stats.n_caught_up
        for part in ("draft_s", "verify_s", "host_s"):
            assert sum(getattr(one, part) for one in rounds) == pytest.approx(getattr(stats, part))


@pytest.mark.parametrize("sampling", [SamplingParams(), SamplingParams(0.8, seed=5)], ids=["greedy", "coupling"])
def test_a_report_changes_no_text_and_is_there_only_if_asked_for(target, drafts, sampling):
    arms = [Arm(drafts["suffix"], 4), Arm(drafts["model_random"], 3)]
    found = []
    for params in (sampling, replace(sampling, rounds=True)):
        engine = Engine(target.decoder, arms, RandomSelector(2, 1))
        found += generate(engine, [_request("q", PROMPTS[9], sampling=params)])
    plain, reported = found
    assert plain.rounds is None
    assert len(reported.rounds) == reported.stats.n_rounds
    assert plain == reported  # reports do not count where two are compared, nor do parameters that ask for them
    assert sampling == replace(sampling, rounds=True)
    assert digest(sampling) == digest(replace(sampling, rounds=True))


def test_match_lengths_are_those_that_a_trace_of_the_same_text_tells(target):
    drafts = [PromptLookup(), SuffixDraft()]
    arms = [Arm(draft, 4) for draft in drafts] + [Arm(NoDraft(), 0)]
    prompt = PROMPTS[10]
    engine = Engine(target.decoder, arms, RandomSelector(3, 0))
    [generation] = generate(engine, [_request("q", prompt)])
    n_new = 1
    for one in generation.rounds:
        for draft in drafts:
            traced = draft.trace(prompt, generation.token_ids, 4).match_length(n_new)
            assert one.match_lengths.get(draft.name) == traced
        assert one.certainty.margin >= 0
        n_new += len(one.token_ids)


def test_a_look_up_that_fails_is_disabled_and_its_match_is_unknown(target):
    arms = [Arm(BrokenLookup(), 2), Arm(PromptLookup(), 2)]
    [generation] = generate(Engine(target.decoder, arms), [_request("q", PROMPTS[10])])
    assert [fault.draft for fault in generation.stats.faults] == ["broken_lookup"]
    assert {name for one in generation.rounds for name in one.match_lengths} == {"prompt_lookup"}
    assert [one.n_proposed for one in generation.rounds] == [0] * len(generation.rounds)
    [unasked] = generate(Engine(target.decoder, arms), [_request("q", PROMPTS[10], sampling=SamplingParams())])
    assert unasked.stats.faults == []
    assert unasked.token_ids == generation.token_ids


def test_what_is_drafted_after_an_accepted_end_of_text_is_no_part_of_a_report(target, drafts):
    engine = Engine(target.decoder, [Arm(drafts["right"], 16)])
    [whole] = generate(engine, [_request("q", PROMPTS[0])])
    last = next(i for i, token in enumerate(whole.token_ids) if i >= 2 and token not in whole.token_ids[:i])
    [ended] = generate(engine, [_request("q", PROMPTS[0], eos_ids=(whole.token_ids[last],))])
    assert last < 16
    [one] = ended.rounds
    assert one.proposed_ids == one.token_ids == whole.token_ids[1 : last + 1]
    assert one.n_accepted == last


def test_a_request_cancelled_before_its_turn_has_no_rounds_and_no_logprobs(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)])
    engine.submit(_request("q", PROMPTS[0], sampling=replace(REPORTED, logprobs=1)))
    engine.submit(_request("unasked", PROMPTS[0], sampling=SamplingParams()))
    for name, asked in (("q", ()), ("unasked", None)):
        engine.cancel(name)
        found = engine.take(name)
        assert (found.rounds, found.logprobs) == (asked, asked)


def test_accepted_tokens_are_counted_by_draft(target, drafts):
    arms = [Arm(drafts["right"], 3), Arm(drafts["wrong"], 2), Arm(drafts["no_draft"], 0)]
    [generation] = generate(Engine(target.decoder, arms, RandomSelector(3, 0)), [_request("q", PROMPTS[0])])
    counts = accepted_of_proposed(generation.rounds)
    assert sum(proposed for _, proposed in counts.values()) == generation.stats.n_proposed
    assert set(counts) == {"right", "wrong"}
    assert counts["wrong"][0] == 0


def test_rounds_must_be_true_or_false():
    with pytest.raises(TypeError, match="rounds must be True or False, got 1"):
        SamplingParams(rounds=1)
