import copy
import re
from dataclasses import replace

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.draft import DraftSession, Proposal, UnreadProposal
from speculative.protocols.request import Request
from speculative.protocols.unread_tokens import UnreadTokens
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import PROMPTS, RandomSelector
from tests.support.table_lm import TableLM
from tests.support.tiny_models import N_VOCAB, Arm, ScriptedDraft

WAYS = {
    "greedy": SamplingParams(),
    "penalised": SamplingParams(repetition_penalty=1.3),
    "coupling": SamplingParams(0.8, seed=5),
    "rejection": SamplingParams(0.8, verification="rejection", seed=5),
}


def changing(prefix, draft_length):
    prefix[-1] = (prefix[-1] + 1) % N_VOCAB
    return Proposal([1])


class Unspeakable(RuntimeError):
    def __str__(self):
        raise ValueError("no words")


def unspeakable(prefix, draft_length):
    raise Unspeakable


class Unshowable:
    def __repr__(self):
        raise ValueError("cannot be shown")


def raising(prefix, draft_length):
    raise RuntimeError("out of ideas")


def unread(prefix, draft_length):
    tokens = UnreadTokens(torch.ones(1, 1, dtype=torch.int64), [1], torch.zeros(1, 1))
    return UnreadProposal("unread", tokens, 0, Proposal([]))


FAULTS = {
    "unread, though not asked so": (unread, "TypeError: propose must return a Proposal, got <"),
    "raises": (raising, "RuntimeError: out of ideas"),
    "answers nothing": (lambda prefix, n: None, "TypeError: propose must return a Proposal, got None"),
    "too many": (lambda prefix, n: Proposal([1] * (n + 1)), r"ValueError: at most \d tokens may be proposed, got \d"),
    "beyond the vocabulary": (lambda prefix, n: Proposal([N_VOCAB]), rf"ValueError: .* \[0, {N_VOCAB}\), got"),
    "below it": (lambda prefix, n: Proposal([-1, 2][:n]), r"ValueError: .* got \[-1"),
    "no ids": (lambda prefix, n: Proposal(["a"]), r"TypeError: token_ids must be a list of ints, got \['a'\]"),
    "floats": (lambda prefix, n: Proposal([1.0]), r"TypeError: token_ids must be a list of ints, got \[1.0\]"),
    "a tensor": (lambda prefix, n: Proposal(torch.tensor([1])), "TypeError: token_ids must be a list of ints"),
    "true": (lambda prefix, n: Proposal([True]), r"TypeError: token_ids must be a list of ints, got \[True\]"),
    "a tuple": (lambda prefix, n: Proposal((1,)), r"TypeError: token_ids must be a list of ints, got \(1,\)"),
    "read text": (lambda prefix, n: Proposal([1], "x"), r"ValueError: n_read must be an int in \[0, \d+\], got 'x'"),
    "read less than nothing": (lambda prefix, n: Proposal([1], -1), "ValueError: n_read must be an int"),
    "read NaN": (lambda prefix, n: Proposal([1], float("nan")), "ValueError: n_read must be an int"),
    "read too much": (lambda prefix, n: Proposal([1], len(prefix) + 1), "ValueError: n_read must be an int"),
    "seconds in words": (lambda prefix, n: Proposal([1], 0, "x"), "ValueError: read_s must be a finite number >= 0"),
    "seconds before": (lambda prefix, n: Proposal([1], 0, -1.0), "ValueError: read_s must be a finite number >= 0"),
    "no seconds": (lambda prefix, n: Proposal([1], 0, float("nan")), "ValueError: read_s must be a finite number"),
    "for ever": (lambda prefix, n: Proposal([1], 0, float("inf")), "ValueError: read_s must be a finite number"),
    "removes a token": (lambda prefix, n: Proposal([prefix.pop()]), "ValueError: the prefix must be left unmodified"),
    "adds a token": (lambda prefix, n: prefix.append(1) or Proposal([1]), "ValueError: the prefix must be left unmod"),
    "changes a token": (changing, "ValueError: the prefix must be left unmodified"),
    "clears the prefix": (lambda prefix, n: prefix.clear(), "ValueError: the prefix must be left unmodified"),
    "unspeakable": (unspeakable, "Unspeakable, which could not be written as text"),
    "shows badly": (
        lambda prefix, n: Unshowable(),
        "ValueError: cannot be shown|TypeError: propose must return a Prop",
    ),
}


class Faulty(ScriptedDraft):
    """Right for a while, then broken."""

    def open(self, prompt, shared=None):
        super().open(prompt)
        return FaultySession(self)


class FaultySession(DraftSession):
    def __init__(self, draft):
        self._draft = draft

    def propose(self, prefix, draft_length, sampler=None):
        if len(prefix) < 9:
            return Proposal([prefix[-1]])
        return self._draft.script(prefix, draft_length)

    def close(self, text):
        self._draft.n_open -= 1


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", ["greedy", "penalised", "coupling"])
def test_a_fault_is_recorded_and_changes_no_text(target, way, fault):
    script, reason = FAULTS[fault]
    bad = Faulty("bad", script)
    requests = [Request(str(i), prompt, 18, sampling=WAYS[way]) for i, prompt in enumerate(PROMPTS[:4])]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    arms = [Arm(bad, 2), Arm(PromptLookup(3), 3), Arm(bad, 1)]
    engine = Engine(target.decoder, arms, RandomSelector(3, 2), settings=EngineSettings(max_batch=3))
    for generation, expected in zip(generate(engine, requests), plain, strict=True):
        assert generation.token_ids == expected.token_ids
        [found] = generation.stats.faults  # once: then it is disabled, whichever arm names it
        assert found.draft == "bad"
        assert re.match(reason, found.reason)
        rounds_of_bad = [i for i, action in enumerate(generation.stats.actions) if action != 1]
        assert found.round in rounds_of_bad
        assert all(generation.stats.proposed[i] == 0 for i in rounds_of_bad if i >= found.round)
    assert bad.n_open == 0


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", WAYS)
def test_a_draft_broken_from_the_start_leaves_the_text_of_no_draft(target, way, fault):
    requests = [Request(str(i), prompt, 18, sampling=WAYS[way]) for i, prompt in enumerate(PROMPTS[:4])]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    engine = Engine(target.decoder, [Arm(ScriptedDraft("bad", None), 2)])
    engine.arms[0].draft.open = lambda prompt, shared=None: Scripted(FAULTS[fault][0])
    found = generate(engine, requests)
    assert [g.token_ids for g in found] == [g.token_ids for g in plain]
    assert all(len(g.stats.faults) == 1 and sum(g.stats.proposed) == 0 for g in found)


class Scripted(DraftSession):
    def __init__(self, script):
        self._script = script

    def propose(self, prefix, draft_length, sampler=None):
        return self._script(prefix, draft_length)


def test_what_a_selector_sees_of_a_disabled_draft(target):
    seen = []

    class Watching(RandomSelector):
        def select(self, rounds):
            seen.extend((r.available, r.match_length(0)) for r in rounds)
            return super().select(rounds)

    draft = ScriptedDraft("bad", raising)
    engine = Engine(target.decoder, [Arm(draft, 2)], Watching(1, 0))
    generate(engine, [Request("q", PROMPTS[0], 6)])
    assert seen[0] == ((True,), None)
    assert set(seen[1:]) == {((False,), None)}


@pytest.mark.parametrize("where", ["open", "match_length", "close"])
def test_raising_anywhere_else_is_a_fault_too(target, where):
    class Session(DraftSession):
        def propose(self, prefix, draft_length, sampler=None):
            return Proposal([1])

        def match_length(self, prefix):
            return raising(prefix, 1) if where == "match_length" else 2

        def close(self, text):
            if where == "close":
                raising([], 1)

    class Asking(RandomSelector):
        def select(self, rounds):
            assert [r.match_length(0) for r in rounds] == [2 if where == "close" else None]
            return super().select(rounds)

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: raising(prompt, 1) if where == "open" else Session()
    engine = Engine(target.decoder, [Arm(draft, 2)], Asking(1, 0))
    [generation] = generate(engine, [Request("q", PROMPTS[0], 6)])
    [plain] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 6)])
    assert generation.token_ids == plain.token_ids
    assert [fault.reason for fault in generation.stats.faults] == ["RuntimeError: out of ideas"]


@pytest.mark.parametrize("way", WAYS)
def test_a_target_without_numbers_fails_one_request_and_spares_the_others(tiny, way):
    decoder = copy.copy(tiny("llama", seed=3).decoder)
    request = Request("good", (1, 2, 3), 4, sampling=WAYS[way])
    [expected] = generate(Engine(decoder, [Arm(NoDraft(), 0)]), [request])
    poison = next(token for token in range(4, N_VOCAB) if token not in expected.token_ids)
    decoder.embedding = decoder.embedding.clone()
    decoder.embedding[poison] = float("nan")  # whoever reads this token gets NaN
    engine = Engine(decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2))
    for _ in range(2):  # the second time in the rows that the first left
        good, bad = generate(engine, [request, Request("bad", (1, poison), 4, sampling=WAYS[way])])
        assert (bad.finished, bad.token_ids) == ("failed", ())
        assert good.token_ids == expected.token_ids
    both = generate(engine, [request, replace(request, id="beside")])
    assert [text.token_ids for text in both] == [expected.token_ids] * 2


@pytest.mark.parametrize("way", WAYS)
def test_a_draft_token_that_spoils_the_targets_logits_changes_no_text(tiny, way):
    """The draft token's keys are NaN, which masks do not hide: the row is computed again without it."""
    decoder = copy.copy(tiny("llama", seed=3).decoder)
    requests = [Request(str(i), prompt, 18, sampling=WAYS[way]) for i, prompt in enumerate(PROMPTS[:3])]
    plain = generate(Engine(decoder, [Arm(NoDraft(), 0)]), requests)
    used = {token for text in plain for token in text.token_ids}.union(*PROMPTS[:3])
    poison = next(token for token in range(N_VOCAB) if token not in used)
    decoder.embedding = decoder.embedding.clone()
    decoder.embedding[poison] = float("nan")
    bad = Faulty("bad", lambda prefix, n: Proposal([prefix[0], poison][-n:]))
    for max_batch in (1, 3):
        engine = Engine(
            decoder,
            [Arm(bad, 2), Arm(NoDraft(), 0)],
            RandomSelector(2, 3),
            settings=EngineSettings(max_batch=max_batch),
        )
        for generation, expected in zip(generate(engine, requests), plain, strict=True):
            if way != "rejection":
                assert generation.token_ids == expected.token_ids
            elif poison in generation.token_ids:  # the draft's draws changed the text, and the target chose it itself
                continue
            assert generation.finished == "length"
            [fault] = generation.stats.faults
            assert (fault.draft, fault.reason) == ("bad", "the target's logits after its draft tokens allow no choice")
            assert not any(generation.stats.proposed[fault.round + 1 :])


class FailingLater(TableLM):
    """No numbers once the text is long enough."""

    def logits_after(self, prefix):
        logits = super().logits_after(prefix)
        return logits * float("nan") if len(prefix) >= 9 else logits


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("draft_length", [1, 2, 3, 7])
def test_a_target_that_fails_keeps_the_tokens_accepted_before(way, draft_length):
    target, request = FailingLater(5), Request("q", (1, 2, 0, 3), 16, sampling=WAYS[way])
    [plain] = generate(Engine(target, [Arm(NoDraft(), 0)]), [request])
    assert (plain.finished, len(plain.token_ids)) == ("failed", 5)
    right = ScriptedDraft("right", lambda prefix, n: [*plain.token_ids, 0, 0, 0, 0, 0, 0, 0][len(prefix) - 4 :][:n])
    [found] = generate(Engine(target, [Arm(right, draft_length)]), [request])
    assert (found.finished, len(found.token_ids), found.failure) == ("failed", 5, plain.failure)
    assert found.stats.faults == []
    stats = found.stats
    assert all(accepted <= proposed for accepted, proposed in zip(stats.accepted, stats.proposed, strict=True))
    if way != "rejection":
        assert found.token_ids == plain.token_ids
        assert sum(stats.accepted) == sum(stats.proposed)  # what the target could not verify does not count


@pytest.mark.parametrize("way", ["keys", "rows", "committed"])
def test_a_draft_of_the_targets_layers_cannot_touch_what_is_committed(tiny, way):
    target = tiny("llama", seed=3).decoder

    class Spoiling(DraftSession):
        def __init__(self, shared):
            self._shared = shared

        def propose(self, prefix, draft_length, sampler=None):
            if way == "keys":
                self._shared.cache.keys.fill_(float("nan"))
            elif way == "rows":
                self._shared.row = 0
            else:
                self._shared.take_back(len(prefix) - 2)
            return Proposal([])

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Spoiling(shared)
    requests = [Request(str(i), prompt, 12 + i) for i, prompt in enumerate(PROMPTS[:4])]
    plain = generate(Engine(target, [Arm(NoDraft(), 0)]), requests)
    found = generate(Engine(target, [Arm(draft, 2)], settings=EngineSettings(max_batch=3)), requests)
    assert [text.token_ids for text in found] == [text.token_ids for text in plain]
    reason = "ValueError: n_kept must be >=" if way == "committed" else "AttributeError: 'SharedCache' object"
    assert all(text.stats.faults[0].reason.startswith(reason) for text in found)


def test_what_a_failing_draft_has_read_by_the_targets_layers_reaches_nobody(tiny):
    target = tiny("llama", seed=3).decoder

    class Reading(DraftSession):
        def __init__(self, shared):
            self._shared = shared

        def propose(self, prefix, draft_length, sampler=None):
            self._shared.forward(torch.tensor([1, 2, 3]), n_layers=1)
            raise RuntimeError("out of ideas")

    draft = ScriptedDraft("bad", None)
    draft.open = lambda prompt, shared=None: Reading(shared)
    requests = [Request(str(i), prompt, 12 + i) for i, prompt in enumerate(PROMPTS[:4])]
    plain = generate(Engine(target, [Arm(NoDraft(), 0)]), requests)
    found = generate(Engine(target, [Arm(draft, 2)], settings=EngineSettings(max_batch=3)), requests)
    assert [text.token_ids for text in found] == [text.token_ids for text in plain]


@pytest.mark.parametrize("max_batch", [1, 2, 3])
def test_a_draft_reads_by_the_targets_layers_for_its_own_request_only(tiny, max_batch):
    target, opened, refused = tiny("llama", seed=3).decoder, [], []

    class Meddling(DraftSession):
        def __init__(self, shared):
            self._own = shared
            opened.append(shared)

        def propose(self, prefix, draft_length, sampler=None):
            for shared in opened:
                try:
                    shared.forward(torch.tensor([1, 2, 3]), n_layers=2)
                except RuntimeError as error:
                    refused.append((shared is self._own, str(error)))
            return Proposal([1])

    draft = ScriptedDraft("meddling", None)
    draft.open = lambda prompt, shared=None: Meddling(shared)
    requests = [Request(str(i), prompt, 18 - 3 * i) for i, prompt in enumerate(PROMPTS[:4])]
    plain = generate(Engine(target, [Arm(NoDraft(), 0)]), requests)
    found = generate(Engine(target, [Arm(draft, 2)], settings=EngineSettings(max_batch=max_batch)), requests)
    assert [text.token_ids for text in found] == [text.token_ids for text in plain]
    message = "a request's SharedCache may be used only while a draft of that request proposes"
    assert refused
    assert set(refused) == {(False, message)}
