"""Prompts are read a chunk a step, in the pass of those that run: a long one holds nobody up."""

import pytest
import torch

from speculative.drafts.no_draft import NoDraft
from speculative.engine import round_clock
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.round_clock import RoundClock
from speculative.engine.settings import EngineSettings
from speculative.models.decoder import Decoder
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.fake_time import FakeTime
from tests.support.hard_cases import PROMPTS, RandomSelector, audit
from tests.support.tiny_models import Arm, expected_text

LONG = tuple((3 * i + i * i) % 24 for i in range(40))


@pytest.fixture
def passes(monkeypatch):
    """Of each pass of a decoder: tokens of each row, and rows of logits."""
    seen, forward = [], Decoder.forward

    def noting(self, batch, *more, **named):
        output = forward(self, batch, *more, **named)
        seen.append((list(batch.counts), len(output.logits)))
        return output

    monkeypatch.setattr(Decoder, "forward", noting)
    return seen


def test_a_running_request_has_a_round_in_every_pass_that_reads_a_long_prompt(target, passes):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2, prefill_chunk=4))
    engine.submit(Request("a", PROMPTS[0], 20))
    engine.step()
    engine.submit(Request("b", LONG, 3))
    passes.clear()
    told = []
    while "b" not in [result.request_id for result in told]:
        told += engine.step()
    assert [(result.request_id, len(result.token_ids)) for result in told] == [("a", 1)] * 10 + [("b", 1)]
    assert passes == [([1, 4], 1)] * 9 + [([1, 4], 2)]
    while engine.n_unfinished:
        engine.step()
    assert engine.take("a").token_ids == expected_text(target.reference, PROMPTS[0], 20, ())
    assert engine.take("b").token_ids == expected_text(target.reference, LONG, 3, ())


def test_the_prompts_of_a_batch_are_read_in_one_pass(target, passes):
    prompts = PROMPTS[2:6]
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=4))
    generate(engine, [Request(str(i), prompt, 1) for i, prompt in enumerate(prompts)])
    assert passes == [([len(prompt) for prompt in prompts], 4)]


def test_a_step_reads_no_more_than_its_chunk_and_a_shorter_prompt_may_fill_it(target, passes):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=3, prefill_chunk=8))
    prompts = [LONG[:12], LONG[:6], LONG[:4]]
    generations = generate(engine, [Request(str(i), prompt, 1) for i, prompt in enumerate(prompts)])
    assert passes == [([8], 1), ([4, 4], 2), ([6], 1)]
    for prompt, generation in zip(prompts, generations, strict=True):
        assert generation.token_ids == expected_text(target.reference, prompt, 1, ())


def test_a_batch_invariant_engine_reads_every_prompt_as_it_would_alone(target, passes):
    settings = EngineSettings(max_batch=3, prefill_chunk=8, batch_invariant=True)
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=settings)
    passes.clear()
    engine.submit(Request("a", PROMPTS[2], 4))
    engine.step()
    for name in ("b", "c"):
        engine.submit(Request(name, LONG[:11], 1))
    told = [[result.request_id for result in engine.step()] for _ in range(3)]
    assert told == [["a"], ["a", "b"], ["a"]]
    assert [counts for counts, _ in passes] == [[3], [8], [1], [3], [1], [8], [1]]


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_a_prompt_half_read_is_cancelled_without_a_trace(target, n_steps):
    selector = RandomSelector(1, 0)
    settings = EngineSettings(max_batch=3, prefill_chunk=4, decode=str)
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], selector, settings=settings)
    engine.submit(Request("a", PROMPTS[0], 9))
    engine.step()
    for name in ("b", "c"):
        engine.submit(Request(name, LONG[:12], 5, sampling=SamplingParams(logprobs=1)))
    for _ in range(n_steps):
        engine.step()
    assert engine.ids() in (["b", "c", "a"],)
    assert engine.n_unfinished == 3
    engine.cancel("b")
    audit(engine, target.decoder)
    cancelled = engine.take("b")
    assert (cancelled.token_ids, cancelled.text, cancelled.logprobs) == ((), "", ())
    assert (cancelled.finished, cancelled.stats.n_prompt) == ("cancelled", 12)
    while engine.n_unfinished:
        engine.step()
        audit(engine, target.decoder)
    assert engine.take("a").token_ids == expected_text(target.reference, PROMPTS[0], 9, ())
    assert engine.take("c").token_ids == expected_text(target.reference, LONG[:12], 5, ())
    assert [query.request.id for query in selector.started] == ["a", "c"]
    assert sorted(selector.finished) == ["a", "c"]


def test_a_selector_hears_of_a_request_once_its_prompt_is_whole(target):
    selector = RandomSelector(1, 0)
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], selector, settings=EngineSettings(prefill_chunk=16))
    engine.submit(Request("a", LONG, 2))
    started = []
    for _ in range(3):
        assert started == []
        engine.step()
        started = [query.request.id for query in selector.started]
    assert started == ["a"]


def test_a_pass_of_rounds_and_prompts_is_shared_by_its_tokens(target, monkeypatch):
    clock = FakeTime()
    monkeypatch.setattr(round_clock, "time", clock)
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2))
    for name in ("a", "b"):
        engine.submit(Request(name, PROMPTS[0], 3))
    engine.step()
    rounds = RoundClock(2)
    clock.now = 8.0
    rounds.verified()
    assert rounds.of_prompts(n_of_prompts=30, n_own=10) == pytest.approx(6.0)
    rounds.account(engine.running)
    assert [state.stats.verify_s for state in engine.running] == pytest.approx([1.0, 1.0])


def test_every_prompts_seconds_are_told(target):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=3, prefill_chunk=4))
    requests = [Request(str(i), prompt, 4) for i, prompt in enumerate((PROMPTS[1], LONG, PROMPTS[8]))]
    for generation in generate(engine, requests):
        assert 0.0 < generation.stats.prefill_s < generation.stats.seconds


def test_the_mean_of_the_hidden_states_is_that_of_the_prompt_whatever_ran_beside(target):
    selector = RandomSelector(1, 0)
    engine = Engine(
        target.decoder, [Arm(NoDraft(), 0)], selector, settings=EngineSettings(max_batch=3, prefill_chunk=7)
    )
    requests = [Request("a", PROMPTS[0], 9), Request("b", LONG[:20], 2), Request("c", LONG[:5], 2)]
    generate(engine, requests)
    alone = RandomSelector(1, 0)
    plain = Engine(target.decoder, [Arm(NoDraft(), 0)], alone)
    generate(plain, requests)
    for own, query in zip(sorted(selector.started, key=lambda query: query.request.id), alone.started, strict=True):
        torch.testing.assert_close(own.hidden_mean, query.hidden_mean, atol=1e-5, rtol=0.0)
        torch.testing.assert_close(own.hidden_last, query.hidden_last, atol=1e-5, rtol=0.0)
