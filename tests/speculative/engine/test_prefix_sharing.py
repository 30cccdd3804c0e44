"""A prompt that begins as another text did is read from there on; what is written stays the target's own."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.decoder import Decoder
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.card_rounds import make_models
from tests.support.hard_cases import RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, bounded, expected_text

PROMPT = tuple(random.Random(3).choices(range(N_VOCAB), k=40))
MB = 1_000_000


@pytest.fixture
def read(monkeypatch):
    """Tokens of each row, of each pass of a decoder."""
    seen, forward = [], Decoder.forward

    def noting(self, batch, *more, **named):
        seen.append(list(batch.counts))
        return forward(self, batch, *more, **named)

    monkeypatch.setattr(Decoder, "forward", noting)
    return seen


def engine_of(target, selector=None, arms=None, **settings):
    settings = EngineSettings(**{"prefix_cache_bytes": MB, "max_batch": 3} | settings)
    return Engine(target, arms or [Arm(NoDraft(), 0)], selector, settings=settings)


def test_the_next_turn_reads_only_what_is_new(target, read):
    selector = RandomSelector(1, 0)
    engine = engine_of(target.decoder, selector)
    [first] = generate(engine, [Request("first", PROMPT, 6)])
    turn = (*PROMPT, *first.token_ids, 1, 2, 3)
    read.clear()
    [second] = generate(engine, [Request("second", turn, 5)])
    assert read == [[4], [1], [1], [1], [1]]  # the answer's last token was not read before
    assert (first.stats.n_cached, second.stats.n_cached) == (0, 45)
    assert second.token_ids == expected_text(target.reference, turn, 5, ())
    plain = RandomSelector(1, 0)
    generate(Engine(target.decoder, [Arm(NoDraft(), 0)], plain), [Request("second", turn, 5)])
    torch.testing.assert_close(selector.started[1].hidden_mean, plain.started[0].hidden_mean, atol=1e-5, rtol=0.0)
    torch.testing.assert_close(selector.started[1].hidden_last, plain.started[0].hidden_last, atol=1e-5, rtol=0.0)


def test_a_prompt_asked_again_is_read_for_its_last_token_alone(target, read):
    engine = engine_of(target.decoder)
    generate(engine, [Request("first", PROMPT, 1)])
    read.clear()
    [again] = generate(engine, [Request("again", PROMPT, 1)])
    assert (read, again.stats.n_cached) == ([[1]], 39)
    assert again.token_ids == expected_text(target.reference, PROMPT, 1, ())


@pytest.mark.parametrize(
    ("prefill_chunk", "passes", "n_cached"),
    [(64, [[40], [1, 1, 1]], 39), (16, [[16], [16], [8, 8], [1, 1, 8]], 32)],
)
def test_of_requests_of_one_prompt_the_first_reads_it_and_the_others_wait(
    target, read, prefill_chunk, passes, n_cached
):
    engine = engine_of(target.decoder, prefill_chunk=prefill_chunk)
    sampling = [SamplingParams(temperature=0.9, seed=seed) for seed in range(3)]
    generations = generate(engine, [Request(str(i), PROMPT, 4, sampling=s) for i, s in enumerate(sampling)])
    assert read[: len(passes)] == passes
    assert [generation.stats.n_cached for generation in generations] == [0, n_cached, n_cached]
    for each, found in zip(sampling, generations, strict=True):
        [alone] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPT, 4, sampling=each)])
        assert found.token_ids == alone.token_ids


def test_a_request_that_joins_copies_from_one_that_runs(target, read):
    engine = engine_of(target.decoder)
    engine.submit(Request("runs", PROMPT, 9))
    for _ in range(3):
        engine.step()
    read.clear()
    engine.submit(Request("joins", (*PROMPT[:36], 1, 2), 2))
    engine.step()
    audit(engine, target.decoder)
    assert read[0] == [1, 2]
    while engine.n_unfinished:
        engine.step()
    assert engine.take("joins").token_ids == expected_text(target.reference, (*PROMPT[:36], 1, 2), 2, ())
    assert engine.take("runs").token_ids == expected_text(target.reference, PROMPT, 9, ())


def test_who_waited_for_a_prompt_that_is_cancelled_reads_it(target):
    engine = engine_of(target.decoder, prefill_chunk=16)
    for name in ("a", "b"):
        engine.submit(Request(name, PROMPT, 3))
    engine.step()
    engine.cancel("a")
    while engine.n_unfinished:
        engine.step()
        audit(engine, target.decoder)
    found = engine.take("b")
    assert (found.stats.n_cached, found.token_ids) == (0, expected_text(target.reference, PROMPT, 3, ()))


def test_what_is_kept_stays_below_its_bytes_and_the_least_recently_used_goes(target):
    prompts = [tuple(random.Random(seed).choices(range(N_VOCAB), k=40)) for seed in range(3)]
    one = engine_of(target.decoder)
    generate(one, [Request("q", prompts[0], 1)])
    n_bytes = one.prefix_bytes
    assert n_bytes == 40 * (8 + 4 * (2 * 2 * 2 * 4 + 16))  # an id, two layers' keys and values of 8, the last states
    engine = engine_of(target.decoder, prefix_cache_bytes=2 * n_bytes)

    def cached(i):
        [found] = generate(engine, [Request("q", prompts[i], 1)])
        assert engine.prefix_bytes <= 2 * n_bytes
        return found.stats.n_cached

    assert [cached(i) for i in (0, 1, 0, 2, 0, 1)] == [0, 0, 39, 0, 39, 0]
    small = engine_of(target.decoder, prefix_cache_bytes=n_bytes - 1)
    generate(small, [Request("q", prompts[0], 1)])
    assert small.prefix_bytes == 0


def test_a_longer_text_takes_the_place_of_what_it_begins_with(target):
    engine = engine_of(target.decoder)
    [first] = generate(engine, [Request("q", PROMPT, 1)])
    generate(engine, [Request("q", (*PROMPT, *first.token_ids, 1), 1)])
    alone = engine_of(target.decoder)
    generate(alone, [Request("q", (*PROMPT, *first.token_ids, 1), 1)])
    assert engine.prefix_bytes == alone.prefix_bytes


def test_what_is_kept_of_a_text_that_outgrows_its_bytes_stays(target):
    engine = engine_of(target.decoder)
    [first] = generate(engine, [Request("q", PROMPT, 1)])
    turn = (*PROMPT, *first.token_ids, 1)
    engine = engine_of(target.decoder, prefix_cache_bytes=engine.prefix_bytes)
    n_cached = [generate(engine, [Request("q", prompt, 1)])[0].stats.n_cached for prompt in (PROMPT, turn, turn)]
    assert n_cached == [0, 40, 40]


@pytest.mark.parametrize("arm", ["draft model", "early exit", "head", "eagle3 head", "suffix"])
def test_drafts_propose_what_they_would_have_without(arm):
    models = make_models("cpu")
    prompt = tuple((5 * j * j + j) % 24 for j in range(50))
    engine = engine_of(models.target, arms=[models.arms[arm]])
    [first] = generate(engine, [Request("first", prompt, 10)])
    turn = (*prompt, *first.token_ids, 3, 4)
    [found] = generate(engine, [Request("second", turn, 20)])
    [plain] = generate(Engine(models.target, [models.arms[arm]]), [Request("second", turn, 20)])
    assert found.stats.n_cached == 59
    assert not found.stats.faults
    assert found.token_ids == plain.token_ids
    assert (found.stats.proposed, found.stats.accepted) == (plain.stats.proposed, plain.stats.accepted)


@bounded(max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    max_batch=st.integers(1, 4),
    prefill_chunk=st.sampled_from([3, 20, 512]),
    prefix_cache_bytes=st.sampled_from([20_000, MB]),
    names=st.lists(st.sampled_from(["lookup_1_3", "right", "any_length", "early_exit", "model_random"]), max_size=2),
    asked=st.lists(st.tuples(st.integers(0, 45), st.integers(1, 8), st.integers(0, 12)), min_size=2, max_size=7),
    cancelled_at=st.integers(0, 14),
    temperature=st.sampled_from([0.0, 0.8]),
)
def test_no_schedule_of_shared_prefixes_changes_a_text(
    target, drafts, seed, max_batch, prefill_chunk, prefix_cache_bytes, names, asked, cancelled_at, temperature
):
    arms = [Arm(drafts[name], 3) for name in names] + [Arm(drafts["no_draft"], 0)]
    settings = {"max_batch": max_batch, "prefill_chunk": prefill_chunk, "prefix_cache_bytes": prefix_cache_bytes}
    engine = engine_of(target.decoder, RandomSelector(len(arms), seed), arms, **settings)
    sampling = SamplingParams(temperature=temperature, seed=seed)
    requests = [
        Request(str(i), (*PROMPT[:n], *PROMPT[i : i + 5]), n_new, sampling=sampling)
        for i, (n, n_new, _) in enumerate(asked)
    ]
    for step in itertools.count():
        for request, (*_, joins_at) in zip(requests, asked, strict=True):
            if joins_at == step:
                engine.submit(request)
        if step == cancelled_at and "0" in engine.ids():
            engine.cancel("0")
        engine.step()
        audit(engine, target.decoder)
        assert engine.prefix_bytes <= prefix_cache_bytes
        if step > 12 and not engine.n_unfinished:
            break
    for request in requests:
        found = engine.take(request.id)
        [alone] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [request])
        assert found.finished == "cancelled" or found.token_ids == alone.token_ids
        assert found.token_ids == alone.token_ids[: len(found.token_ids)]


def test_nothing_is_kept_of_logits_that_were_no_numbers(tiny):
    broken = tiny("llama", seed=12).decoder
    engine = engine_of(broken)
    plain = broken.forward

    def spoil(*arguments, **options):
        output = plain(*arguments, **options)
        return replace(output, logits=torch.full_like(output.logits, float("nan")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(broken, "forward", spoil)
        [failed] = generate(engine, [Request("q", PROMPT, 2)])
    assert (failed.finished, engine.prefix_bytes) == ("failed", 0)


def test_settings_that_cannot_be_met_are_refused(target):
    for value in (-1, 1.5, True, None):
        with pytest.raises(ValueError, match=f"prefix_cache_bytes must be an integer >= 0, got {value}"):
            EngineSettings(prefix_cache_bytes=value)
    with pytest.raises(ValueError, match="prefix_cache_bytes must be 0 where batch_invariant is set, got 1"):
        EngineSettings(prefix_cache_bytes=1, batch_invariant=True)

    class Growing:
        can_roll_back = False

    with pytest.raises(ValueError, match="prefix_cache_bytes must be 0 for a target that cannot take tokens back"):
        EngineSettings(prefix_cache_bytes=1).check_prefix_cache(Growing())
