"""Sampling at the ends of its parameters' ranges, and schedules that mix every way of picking tokens."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.logits import process_logits
from speculative.sampling.sampling_params import SEED_LIMIT, SamplingParams
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, bounded, expected_text

VERIFICATIONS = ("coupling", "rejection")
NEARLY_GREEDY = {
    "temperature 1e-4": {"temperature": 1e-4},
    "temperature 1e-30": {"temperature": 1e-30},
    "top_k 1": {"temperature": 1.3, "top_k": 1},
    "top_p 1e-9": {"temperature": 1.0, "top_p": 1e-9},
    "min_p 1": {"temperature": 1.0, "min_p": 1.0},
}


@pytest.mark.parametrize("verification", VERIFICATIONS)
@pytest.mark.parametrize("edge", NEARLY_GREEDY)
@pytest.mark.parametrize("names", [["model_itself", "early_exit"], ["model_trimmed", "any_length", "lookup_1_3"]])
def test_a_distribution_of_one_token_gives_the_greedy_text(target, drafts, verification, edge, names):
    sampling = SamplingParams(**NEARLY_GREEDY[edge], verification=verification, seed=1)
    requests = [Request(str(i), prompt, 16, sampling=sampling) for i, prompt in enumerate(PROMPTS)]
    engine = Engine(
        target.decoder,
        [Arm(drafts[name], 3) for name in names],
        RandomSelector(len(names), 1),
        settings=EngineSettings(max_batch=4),
    )
    for prompt, text in zip(PROMPTS, generate(engine, requests), strict=True):
        assert text.token_ids == expected_text(target.reference, prompt, 16, ())
        assert text.stats.faults == []


@pytest.mark.parametrize("verification", VERIFICATIONS)
@pytest.mark.parametrize("seed", [0, 2**32, 2**53 + 1, 2**62, SEED_LIMIT - 1])
def test_every_seed_gives_a_text_of_its_own_again_and_again(target, drafts, verification, seed):
    def text(own_seed):
        sampling = SamplingParams(1.5, verification=verification, seed=own_seed)
        [found] = generate(
            Engine(target.decoder, [Arm(drafts["model_random"], 3)]), [Request("q", PROMPTS[2], 20, sampling=sampling)]
        )
        assert found.seed == own_seed
        return found.token_ids

    assert text(seed) == text(seed)
    assert text(seed) != text(seed - 1 if seed else 1)


@pytest.mark.parametrize("verification", VERIFICATIONS)
@pytest.mark.parametrize("penalty", [0.5, 1.0, 1.8])
def test_a_draft_whose_vocabulary_is_padded_beyond_the_texts_is_of_use(target, tiny, drafts, verification, penalty):
    """Ids from `n_tokens` on are no text: a draft's distribution over more ids is cut to those, and is no fault."""
    n_tokens = 15
    padded = DraftModel(tiny("llama", seed=6, vocab_size=32).decoder, name="padded", n_target_vocab=N_VOCAB)
    prompts = [tuple(token % n_tokens for token in prompt) for prompt in PROMPTS]
    sampling = SamplingParams(1.2, verification=verification, seed=3, repetition_penalty=penalty)
    for draft in (padded, EarlyExit(target.decoder, n_layers=1), drafts["model_itself"]):
        engine = Engine(target.decoder, [Arm(draft, 3)], settings=EngineSettings(max_batch=3, n_tokens=n_tokens))
        found = generate(engine, [Request(str(i), p, 16, sampling=sampling) for i, p in enumerate(prompts)])
        assert all(max(text.token_ids) < n_tokens for text in found)
        if verification == "rejection":
            assert all(text.stats.faults == [] for text in found)
            assert sum(sum(text.stats.accepted) for text in found) > 10


@pytest.mark.parametrize("way", ["greedy", "penalised", *VERIFICATIONS])
@pytest.mark.parametrize("n_prompt", [1, 75, 95])
def test_prompts_of_one_token_and_texts_that_fill_both_contexts(target, tiny, drafts, way, n_prompt):
    """The target's context is 96 tokens, the short draft's 14, another's one less than the target's."""
    near = DraftModel(tiny("qwen2", seed=9, max_position_embeddings=95).decoder, name="near", n_target_vocab=N_VOCAB)
    arms = [Arm(near, 7), Arm(drafts["model_itself"], 7), Arm(drafts["early_exit"], 7), Arm(drafts["model_short"], 7)]
    prompt = tuple((7 * i + 3) % N_VOCAB for i in range(n_prompt))
    requests = [Request(str(i), prompt, 96 - n_prompt, sampling=ways(i)[way]) for i in range(2)]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    for seed in range(3):
        engine = Engine(target.decoder, arms, RandomSelector(4, seed), settings=EngineSettings(max_batch=2))
        for text, expected in zip(generate(engine, requests), plain, strict=True):
            assert text.stats.faults == []
            assert len(text.token_ids) == 96 - n_prompt
            assert way == "rejection" or text.token_ids == expected.token_ids


def ways(seed):
    return {
        "greedy": SamplingParams(),
        "penalised": SamplingParams(repetition_penalty=1.3),
        "coupling": SamplingParams(1.1, top_p=0.9, repetition_penalty=1.2, seed=seed),
        "rejection": SamplingParams(1.1, top_p=0.9, repetition_penalty=1.2, seed=seed, verification="rejection"),
    }


def decode(token_ids):
    """Letters, one token of two and one without text."""
    return "".join({0: "", 1: "ab"}.get(token, chr(97 + token)) for token in token_ids)


@bounded(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    max_batch=st.integers(1, 4),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=5),
    asked=st.lists(
        st.tuples(
            st.sampled_from(PROMPTS),
            st.integers(1, 16),
            st.sampled_from(list(ways(0))),
            st.integers(0, 6),
            st.lists(st.text("abcdefghij", min_size=1, max_size=3), max_size=2).map(tuple),
        ),
        min_size=1,
        max_size=5,
    ),
    cancelled_at=st.dictionaries(st.integers(0, 4), st.integers(0, 8), max_size=1),
)
def test_every_way_of_picking_shares_a_batch_and_the_cache_is_a_fresh_prefills_after_every_step(
    target, drafts, seed, max_batch, names, asked, cancelled_at
):
    lengths = itertools.cycle([3, 1, 7, 2])
    arms = [Arm(drafts[name], next(lengths)) for name in names] + [Arm(drafts["no_draft"], 0)]
    requests = [
        Request(str(i), p, n, (5,), sampling=replace(ways(i)[way], stop=stop))
        for i, (p, n, way, _, stop) in enumerate(asked)
    ]

    def play():
        engine = Engine(
            target.decoder,
            arms,
            RandomSelector(len(arms), seed),
            settings=EngineSettings(max_batch=max_batch, decode=decode),
        )
        shown = {request.id: "" for request in requests}
        step = 0
        while step < 8 or engine.n_unfinished:
            for request, (*_, joins_at, _) in zip(requests, asked, strict=True):
                if joins_at == step:
                    engine.submit(request)
            for i, at in cancelled_at.items():
                if at == step and str(i) in engine.ids():
                    engine.cancel(str(i))
            for result in engine.step():
                shown[result.request_id] += result.text
            audit(engine, target.decoder)
            step += 1
        return {request.id: engine.take(request.id) for request in requests}, shown

    found, shown = play()
    assert play()[0] == found  # rejection too: same seeds, same choices, same text
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(decode=decode)), requests)
    for request, expected in zip(requests, plain, strict=True):
        text, stats = found[request.id], found[request.id].stats
        assert decode(text.token_ids).startswith(text.text)
        assert text.text.startswith(shown[text.request_id])
        assert not any(stop in text.text for stop in request.sampling.stop)
        if text.finished != "cancelled":
            assert shown[text.request_id] == text.text
            if request.sampling.verification == "coupling":
                assert text == expected
        assert stats.n_new == len(text.token_ids)
        surplus = 1 + sum(stats.accepted) + stats.n_rounds - stats.n_new
        assert stats.n_new == 0 or surplus == 0 or (surplus == 1 and text.finished in ("eos", "stop"))
        assert all(a <= p <= 7 for a, p in zip(stats.accepted, stats.proposed, strict=True))


def test_no_sampled_token_was_impossible(target, drafts):
    """Every token lies in the support that the target's processed distribution has at its place."""
    for i, verification in itertools.product(range(20), VERIFICATIONS):
        sampling = SamplingParams(1.5, top_k=4, top_p=0.8, seed=i, verification=verification)
        prompt = PROMPTS[i % len(PROMPTS)]
        arms = [Arm(drafts[name], 3) for name in ("model_random", "any_length", "model_trimmed")]
        [text] = generate(
            Engine(target.decoder, arms, RandomSelector(3, i)), [Request("q", prompt, 16, sampling=sampling)]
        )
        tokens = torch.tensor([*prompt, *text.token_ids])
        logits = target.decoder.forward(TokenBatch(tokens, [len(tokens)]), target.decoder.new_cache(1)).logits
        for position in range(len(prompt), len(tokens)):
            logits_there = process_logits(logits[position - 1], sampling, tokens[:position].tolist())
            assert torch.isfinite(logits_there[tokens[position]])
