import itertools
import json
import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.adapters.transformers_lm import TransformersLM
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from tests.support.hard_cases import PROMPTS, TEXT_LENGTH, RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, ScriptedDraft, bounded, expected_text, greedy_text
from tests.support.tiny_transformers import (
    N_POSITIONS,
    ROLLS_BACK,
    STAYS,
    WINDOW,
    full_pass,
    random_model,
    tiny_transformers,
)

SOME_PROMPTS = PROMPTS[::2]
close = {"atol": 1e-4, "rtol": 0.0}


def append(model, lm, cache, rows, first, new):
    """Run new tokens of consecutive rows and check logits and hidden states against full passes."""
    flat = torch.tensor([token for tokens in new for token in tokens])
    output = lm.forward(TokenBatch(flat, [len(tokens) for tokens in new], first), cache)
    logits, hidden = [], []
    for row, tokens in enumerate(new, first):
        rows[row] = rows[row] + tokens
        assert cache.lengths[row] == len(rows[row])
        expected = full_pass(model, rows[row])
        logits.append(expected[0][-len(tokens) :])
        hidden.append(expected[1][-len(tokens) :])
    torch.testing.assert_close(output.logits, torch.cat(logits), **close)
    torch.testing.assert_close(output.hidden, torch.cat(hidden), **close)


def random_passes(rng, rows, n_passes, longest):
    """Passes over consecutive rows of different counts: (first row, new tokens of each)."""
    for _ in range(n_passes):
        first = rng.randrange(len(rows))
        n_rows = rng.randint(1, len(rows) - first)
        yield first, [[rng.randrange(N_VOCAB) for _ in range(rng.randint(1, longest))] for _ in range(n_rows)]


@pytest.mark.parametrize("kind", ROLLS_BACK)
@bounded(max_examples=10)
@given(seed=st.integers(0, 10**6), capacity=st.sampled_from([1, 5, 64]))
def test_logits_are_transformers_after_any_appending_and_rolling_back(kind, seed, capacity):
    model, lm = tiny_transformers(kind)
    rng, rows = random.Random(seed), [[], [], []]
    cache = lm.new_cache(3, capacity)
    for first, new in random_passes(rng, rows, 7, 2 * WINDOW):
        append(model, lm, cache, rows, first, new)
        for row in range(3):
            rows[row] = rows[row][: rng.randint(max(0, len(rows[row]) - 6), len(rows[row]))]
            cache.truncate(row, len(rows[row]))
        if rng.random() < 0.2:
            source, destination = rng.sample(range(3), 2)
            cache.move(source, destination)
            rows[destination], rows[source] = rows[source], []
    for row, prefix in enumerate(rows):
        fresh = lm.new_cache(1)
        if prefix:
            lm.forward(TokenBatch(torch.tensor(prefix), [len(prefix)]), fresh)
        torch.testing.assert_close(cache.held(row), fresh.held(0), atol=1e-5, rtol=0.0)


@pytest.mark.parametrize("kind", ROLLS_BACK)
def test_every_position_of_the_context_is_right_and_none_beyond_it_is_taken(kind):
    model, lm = tiny_transformers(kind)
    rng, rows = random.Random(7), [[], []]
    cache = lm.new_cache(2, 8)
    while len(rows[0]) < N_POSITIONS:
        count = min(rng.randint(1, 9), N_POSITIONS - len(rows[0]))
        other = [[rng.randrange(N_VOCAB)]] if len(rows[0]) % 2 else []
        append(model, lm, cache, rows, 0, [[rng.randrange(N_VOCAB) for _ in range(count)], *other])
        if rng.random() < 0.4 and count > 1:
            rows[0] = rows[0][:-1]
            cache.truncate(0, len(rows[0]))
    with pytest.raises(ValueError, match=f"prefix of {N_POSITIONS + 1} tokens exceeds .* {N_POSITIONS} tokens"):
        lm.forward(TokenBatch(torch.tensor([3]), [1]), cache)
    assert cache.lengths[0] == N_POSITIONS


@pytest.mark.parametrize("kind", ["gemma3", "mistral_sliding"])
def test_the_window_matters_in_these_tests(kind):
    prefix = [3, 5, 8, 1, 9, 11, 2, 7, 20, 14]
    narrow, wide = full_pass(random_model(kind), prefix), full_pass(random_model(kind, sliding_window=50), prefix)
    torch.testing.assert_close(narrow[0][:WINDOW], wide[0][:WINDOW], **close)
    assert ((narrow[0] - wide[0]).abs().amax(-1)[WINDOW:] > 1e-2).all()


@pytest.mark.parametrize("kind", ROLLS_BACK)
def test_the_head_runs_on_the_chosen_tokens_only_in_the_order_asked(kind):
    _, lm = tiny_transformers(kind)
    batch = TokenBatch(torch.tensor([3, 5, 8, 1, 9]), [1, 4])
    every = lm.forward(batch, lm.new_cache(2))
    n_rows = []
    hook = lm.head.register_forward_hook(lambda head, given, out: n_rows.append(out.shape[:-1].numel()))
    chosen = lm.forward(batch, lm.new_cache(2), [4, 0, 2])
    none = lm.forward(batch, lm.new_cache(2), [])
    hook.remove()
    torch.testing.assert_close(chosen.logits, every.logits[[4, 0, 2]], **close)
    torch.testing.assert_close(chosen.hidden, every.hidden, **close)
    assert none.logits.shape == (0, N_VOCAB)
    assert n_rows == [3, 0]


def scripts(model):
    """Drafts that are right, wrong, or right for a while."""
    truth = {prompt: (*prompt, *greedy_text(model, prompt, TEXT_LENGTH)) for prompt in SOME_PROMPTS}

    def right(prefix, draft_length):
        text = next(t for p, t in truth.items() if t[: len(prefix)] == tuple(prefix) and len(p) <= len(prefix))
        return list(text[len(prefix) : len(prefix) + draft_length])

    def wrong(prefix, draft_length):
        return [(token + 1) % N_VOCAB for token in right(prefix, draft_length)]

    def partly(prefix, draft_length):
        n_right = sum(prefix) % (draft_length + 1)
        return right(prefix, n_right) + wrong(prefix, draft_length)[n_right:]

    return [ScriptedDraft(script.__name__, script) for script in (right, wrong, partly)]


@pytest.mark.parametrize("kind", ROLLS_BACK)
@bounded(max_examples=12)
@given(
    seed=st.integers(0, 10**6),
    asked=st.lists(
        st.tuples(st.sampled_from(SOME_PROMPTS), st.integers(1, TEXT_LENGTH), st.integers(0, 6)), min_size=3, max_size=5
    ),
    eos_ids=st.lists(st.integers(0, N_VOCAB - 1), max_size=1).map(tuple),
    cancelled=st.integers(0, 9),
)
def test_text_is_plain_greedy_for_any_drafts_in_a_batch_with_joins_and_leaves(kind, seed, asked, eos_ids, cancelled):
    model, lm = tiny_transformers(kind)
    arms = [Arm(NoDraft(), 0), Arm(PromptLookup(1, min_ngram=1), 2), Arm(PromptLookup(3), 7)]
    arms += [Arm(draft, draft_length) for draft, draft_length in zip(scripts(model), (4, 3, 5), strict=True)]
    engine = Engine(lm, arms, RandomSelector(len(arms), seed), settings=EngineSettings(max_batch=3, prefill_chunk=4))
    requests = [Request(str(i), prompt, n, eos_ids) for i, (prompt, n, _) in enumerate(asked)]
    for step in itertools.count():
        for request, (_, _, joins_at) in zip(requests, asked, strict=True):
            if joins_at == step:
                engine.submit(request)
        if step > 6 and not engine.n_unfinished:
            break
        engine.step()
        if step % 3 == 0:
            audit(engine, lm)
        if step == cancelled and any(state.request.id == "0" for state in engine.running):
            engine.cancel("0")
            audit(engine, lm)
    for request in requests:
        generation = engine.take(request.id)
        assert not generation.stats.faults
        expected = expected_text(model, request.token_ids, request.max_new_tokens, eos_ids)
        n_new = len(generation.token_ids) if generation.finished == "cancelled" else len(expected)
        assert generation.token_ids == expected[:n_new]


@pytest.mark.parametrize("kind", ROLLS_BACK)
def test_a_right_draft_is_accepted_whole_and_a_wrong_one_not_at_all(kind):
    model, lm = tiny_transformers(kind)
    right, wrong, _ = scripts(model)
    for draft, n_accepted, n_rounds in ((right, 15, 5), (wrong, 0, 20)):
        [generation] = generate(Engine(lm, [Arm(draft, 3)]), [Request("q", SOME_PROMPTS[3], 21)])
        assert generation.token_ids == greedy_text(model, SOME_PROMPTS[3], TEXT_LENGTH)[:21]
        assert (sum(generation.stats.accepted), generation.stats.n_rounds) == (n_accepted, n_rounds)


@pytest.mark.parametrize("kind", STAYS)
@bounded(max_examples=5)
@given(seed=st.integers(0, 10**6))
def test_what_cannot_roll_back_appends_exactly_in_a_batch(kind, seed):
    model, lm = tiny_transformers(kind)
    rng, rows = random.Random(seed), [[], [], []]
    cache = lm.new_cache(3)
    for first, new in random_passes(rng, rows, 6, 4):
        append(model, lm, cache, rows, first, new)
        if rng.random() < 0.3:
            dropped = rng.randrange(3)
            cache.truncate(dropped, 0)
            rows[dropped] = []
        if rng.random() < 0.3:
            source, destination = rng.sample(range(3), 2)
            cache.move(source, destination)
            rows[destination], rows[source] = rows[source], []
    assert (cache.n_bytes > 0) == any(rows)


@pytest.mark.parametrize("kind", STAYS)
def test_what_cannot_roll_back_gives_logits_of_the_tokens_asked_for(kind):
    _, lm = tiny_transformers(kind)
    batch = TokenBatch(torch.tensor([3, 5, 8, 1, 9]), [2, 3])
    every = lm.forward(batch, lm.new_cache(2))
    chosen = lm.forward(batch, lm.new_cache(2), [4, 0, 2])
    torch.testing.assert_close(chosen.logits, every.logits[[4, 0, 2]], **close)
    torch.testing.assert_close(chosen.hidden, every.hidden, **close)


@pytest.mark.parametrize("kind", STAYS)
def test_what_cannot_roll_back_refuses_to_and_says_why(kind):
    _, lm = tiny_transformers(kind)
    assert not lm.can_roll_back
    reasons = {
        "mamba": r"MambaForCausalLM keeps a state \(LinearAttentionLayer\) that only grows",
        "lfm2_hybrid": r"Lfm2ForCausalLM keeps a state \(LinearAttentionLayer\) that only grows",
        "bloom_alibi": "BloomForCausalLM takes no explicit position_ids",
        "gpt_neo_local": "GPTNeoForCausalLM computes other logits",
        "llama_moving_rope": "LlamaForCausalLM rescales its rotary positions",
    }
    with pytest.raises(AssertionError, match=reasons[kind]):
        raise AssertionError(lm.rollback_refusal)
    cache = lm.new_cache(1)
    lm.forward(TokenBatch(torch.tensor([3, 5, 8]), [3]), cache)
    cache.truncate(0, 3)
    with pytest.raises(ValueError, match=r"row 0 holds 3 tokens and cannot be cut to 2: .* cannot be rolled back"):
        cache.truncate(0, 2)
    cache.lengths[0] = 2
    with pytest.raises(ValueError, match="row 0 was cut to 2 tokens, but its state has read 3"):
        lm.forward(TokenBatch(torch.tensor([3]), [1]), cache)


@pytest.mark.parametrize("kind", STAYS)
def test_what_cannot_roll_back_generates_greedy_text_undrafted_in_a_batch(kind):
    model, lm = tiny_transformers(kind)
    engine = Engine(lm, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=3, prefill_chunk=4))
    requests = [Request(str(i), prompt, 3 + 4 * (i % 4)) for i, prompt in enumerate(SOME_PROMPTS)]
    for generation, request in zip(generate(engine, requests), requests, strict=True):
        assert generation.token_ids == expected_text(model, request.token_ids, request.max_new_tokens, ())


@pytest.mark.parametrize("kind", ROLLS_BACK)
def test_a_prompt_that_begins_as_an_earlier_text_is_read_from_there(kind):
    model, lm = tiny_transformers(kind)
    engine = Engine(lm, [Arm(NoDraft(), 0)], settings=EngineSettings(max_batch=2, prefix_cache_bytes=10**6))
    prompt = tuple((3 * i * i + i) % N_VOCAB for i in range(36))
    generate(engine, [Request("first", prompt, 2)])
    turns = [Request("one", (*prompt[:34], 1, 2), 3), Request("two", (*prompt[:33], 5), 3)]
    for generation, request in zip(generate(engine, turns), turns, strict=True):
        assert generation.stats.n_cached == len(request.token_ids) - (2 if request.id == "one" else 1)
        assert generation.token_ids == expected_text(model, request.token_ids, 3, ())


@pytest.mark.parametrize("kind", ["mamba"])
def test_what_cannot_roll_back_keeps_no_prefixes(kind):
    with pytest.raises(ValueError, match="prefix_cache_bytes must be 0 for a target that cannot take tokens back"):
        Engine(tiny_transformers(kind)[1], [Arm(NoDraft(), 0)], settings=EngineSettings(prefix_cache_bytes=1))


def test_what_rolls_back_says_so(tiny):
    for kind in ROLLS_BACK:
        assert tiny_transformers(kind)[1].can_roll_back
        assert tiny_transformers(kind)[1].rollback_refusal is None
    assert tiny().decoder.can_roll_back


def test_trying_a_rollback_leaves_the_model_as_it_was():
    model = random_model("gemma3")
    before = json.dumps(model.config.to_dict(), default=str)
    expected = full_pass(model, list(range(20)))[0]
    TransformersLM(model)
    assert json.dumps(model.config.to_dict(), default=str) == before
    assert torch.equal(full_pass(model, list(range(20)))[0], expected)


def test_a_token_beyond_the_vocabulary_is_refused():
    _, lm = tiny_transformers("gpt2")
    for token in (-1, N_VOCAB):
        with pytest.raises(ValueError, match=rf"token id {token} is not in \[0, {N_VOCAB}\)"):
            lm.forward(TokenBatch(torch.tensor([3, token]), [2]), lm.new_cache(1))


def test_a_row_that_is_freed_gives_its_state_back():
    _, lm = tiny_transformers("mamba")
    cache = lm.new_cache(2)
    lm.forward(TokenBatch(torch.tensor([1, 2, 3]), [1, 2]), cache)
    held = cache.n_bytes
    cache.truncate(1, 0)
    assert 0 < cache.n_bytes < held
    cache.wipe(0)
    assert (cache.n_bytes, cache.lengths) == (0, [0, 0])
