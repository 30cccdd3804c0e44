import random

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols import kv_cache
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from tests.support.hard_cases import PROMPTS, RandomSelector
from tests.support.tiny_models import N_VOCAB, Arm, expected_text, greedy_text


def test_the_selector_is_given_the_mean_of_the_prompts_hidden_states(target):
    prompt = PROMPTS[-1]
    for prefill_chunk in (2, 512):
        selector = RandomSelector(1, 0)
        engine = Engine(
            target.decoder, [Arm(NoDraft(), 0)], selector, settings=EngineSettings(prefill_chunk=prefill_chunk)
        )
        generate(engine, [Request("q", prompt, 1)])
        batch = TokenBatch(torch.tensor(prompt), [len(prompt)])
        hidden = target.decoder.forward(batch, target.decoder.new_cache(1)).hidden
        torch.testing.assert_close(selector.started[0].hidden_mean, hidden.mean(0), atol=1e-5, rtol=0.0)


def test_arms_that_differ_in_length_share_their_drafts_session(target, drafts):
    opened = []

    class Counting(PromptLookup):
        def open(self, prompt, shared=None):
            opened.append(prompt)
            return super().open(prompt, shared)

    draft = Counting()
    arms = [Arm(draft, 2), Arm(draft, 5)]
    generate(Engine(target.decoder, arms, RandomSelector(2, 0)), [Request("q", PROMPTS[0], 20)])
    assert len(opened) == 1


def test_only_an_idle_draft_catches_up(target, drafts):
    class InTurn(RandomSelector):
        def select(self, rounds):
            return [len(self.observations) // 2 % 2 for _ in rounds]

    always = Engine(target.decoder, [Arm(drafts["model_random"], 2)])
    [generation] = generate(always, [Request("q", PROMPTS[0], 20)])
    assert (generation.stats.n_caught_up, generation.stats.catch_up_s) == (0, 0.0)
    arms = [Arm(drafts["model_random"], 2), Arm(drafts["no_draft"], 0)]
    [generation] = generate(Engine(target.decoder, arms, InTurn(2, 0)), [Request("q", PROMPTS[0], 20)])
    assert generation.stats.n_caught_up >= 3
    assert 0.0 < generation.stats.catch_up_s < generation.stats.draft_s


def test_a_draft_past_its_context_is_unavailable_and_the_text_goes_on(target, drafts):
    seen = []

    class Watching(RandomSelector):
        def select(self, rounds):
            seen.extend((r.n_prompt + r.n_new, r.available) for r in rounds)
            return [0 for _ in rounds]

    arms = [Arm(drafts["model_short"], 3), Arm(drafts["no_draft"], 0)]
    [generation] = generate(Engine(target.decoder, arms, Watching(2, 0)), [Request("q", PROMPTS[4], 24)])
    assert generation.token_ids == expected_text(target.reference, PROMPTS[4], 24, ())
    assert seen
    assert all(available == (length < 14, True) for length, available in seen)
    assert generation.stats.proposed[-1] == 0


def test_the_whole_context_can_be_filled(target, drafts):
    prompt = tuple(random.Random(1).choices(range(N_VOCAB), k=76))
    expected = greedy_text(target.reference, prompt, 20)
    for name in ("no_draft", "lookup_1_3", "model_itself"):
        engine = Engine(target.decoder, [Arm(drafts[name], 7)])
        [generation] = generate(engine, [Request("q", prompt, 20)])
        assert generation.token_ids == expected


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (Request("q", (1,) * 90, 7), "request 'q': 90 prompt tokens and 7 new ones exceed the target's context of 96"),
        (Request("q", (1,), 7, (2, N_VOCAB)), rf"request 'q': token id {N_VOCAB} is not in \[0, {N_VOCAB}\)"),
        (Request("q", (1,), 7, (-1,)), rf"request 'q': token id -1 is not in \[0, {N_VOCAB}\)"),
        (Request("q", (1, N_VOCAB), 7), rf"request 'q': token id {N_VOCAB} is not in \[0, {N_VOCAB}\)"),
        (Request("q", (1, -1), 7), r"token id -1 is not in"),
    ],
)
def test_what_cannot_be_answered_is_refused_when_submitted(target, request_, message):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)])
    with pytest.raises(ValueError, match=message):
        engine.submit(request_)
    assert engine.n_unfinished == 0


def test_an_id_is_in_use_until_its_generation_is_taken(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)])
    engine.submit(Request("q", (1,), 2))
    for _ in range(3):
        with pytest.raises(ValueError, match="request id 'q' is in use"):
            engine.submit(Request("q", (1,), 2))
        engine.step()
    with pytest.raises(ValueError, match="no request 'q' is waiting or running"):
        engine.cancel("q")
    engine.take("q")
    with pytest.raises(ValueError, match="request 'q' has not finished"):
        engine.take("q")
    assert engine.submit(Request("q", (1,), 2)) == "q"


def test_cancelling_frees_row_sessions_and_id_of_running_and_of_waiting_requests(target, drafts):
    engine = Engine(target.decoder, [Arm(drafts["right"], 2)])
    for name in ("running", "waiting"):
        engine.submit(Request(name, PROMPTS[0], 20))
    for _ in range(3):  # the prompt, and two rounds
        engine.step()
    assert drafts["right"].n_open == 1
    engine.cancel("waiting")
    engine.cancel("running")
    assert (engine.n_unfinished, drafts["right"].n_open) == (0, 0)
    waiting, running = engine.take("waiting"), engine.take("running")
    assert (waiting.token_ids, waiting.finished) == ((), "cancelled")
    assert (running.token_ids, running.finished) == (greedy_text(target.reference, PROMPTS[0], 24)[:7], "cancelled")
    with pytest.raises(ValueError, match="no request 'running' is waiting or running"):
        engine.cancel("running")


@pytest.mark.parametrize("action", [-1, 1])
def test_an_arm_that_does_not_exist_is_refused(target, action):
    class Astray(RandomSelector):
        def select(self, rounds):
            return [action]

    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], Astray(1, 0))
    with pytest.raises(ValueError, match=rf"must choose an arm in \[0, 1\), got {action}"):
        generate(engine, [Request("q", (1,), 5)])


def test_engine_options_are_checked(target):
    arm = Arm(NoDraft(), 0)
    with pytest.raises(ValueError, match="at least one arm"):
        Engine(target.decoder, [])
    with pytest.raises(ValueError, match="draft_length must be >= 0, got -1"):
        Engine(target.decoder, [Arm(NoDraft(), -1)])
    for draft_length in ("2", None, 2.0, True):
        with pytest.raises(TypeError, match=f"draft_length must be an int >= 0, got {draft_length!r}"):
            Engine(target.decoder, [Arm(PromptLookup(), draft_length)])
    Engine(target.decoder, [Arm(PromptLookup(), 95)])
    with pytest.raises(ValueError, match="draft_length must be below the target's context of 96 tokens, got 96"):
        Engine(target.decoder, [arm, Arm(PromptLookup(), 96)])
    with pytest.raises(ValueError, match="max_batch must be an integer >= 1, got 0"):
        Engine(target.decoder, [arm], settings=EngineSettings(max_batch=0))
    with pytest.raises(ValueError, match="prefill_chunk must be an integer >= 1, got 0"):
        Engine(target.decoder, [arm], settings=EngineSettings(prefill_chunk=0))


def test_a_request_whose_cache_memory_could_not_hold_is_refused_when_it_is_submitted(target, monkeypatch):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2))
    engine.cache.keys = engine.cache.keys[:, :, :, :8]  # a cache that must grow
    engine.cache.values = engine.cache.values[:, :, :, :8]
    monkeypatch.setattr(kv_cache, "free_bytes", lambda device: 1_000)
    with pytest.raises(ValueError, match=r"a KV cache of 520 tokens a row would take 0\.0 GB, but 0\.0 GB are free"):
        engine.submit(Request("long", PROMPTS[0], 20))
    assert engine.n_unfinished == 0
    engine.submit(Request("short", PROMPTS[0], 2))
