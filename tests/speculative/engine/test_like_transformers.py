"""Greedy text is that of transformers' own `generate`, with every parameter that touches a greedy text."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, RandomSelector
from tests.support.tiny_models import N_VOCAB, Arm, bounded

PIECES = [*"abcdefghijklmnop", "ab", "cd", "ef", "gh", "Ġ", "Ġa", "abc", "."]
MERGES = [("a", "b"), ("c", "d"), ("e", "f"), ("g", "h"), ("Ġ", "a"), ("ab", "c")]


@pytest.fixture(scope="module")
def tokenizer():
    assert len(PIECES) == N_VOCAB
    backend = Tokenizer(BPE({piece: i for i, piece in enumerate(PIECES)}, MERGES))
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, clean_up_tokenization_spaces=False)


def transformers_text(model, prompt, max_new_tokens, eos_ids, penalty, stop, tokenizer):
    """New tokens of `generate`, its own defaults out of the way."""
    options = {"stop_strings": list(stop), "tokenizer": tokenizer} if stop else {}
    tokens = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        do_sample=False,
        max_new_tokens=max_new_tokens,
        eos_token_id=list(eos_ids) or -1,
        pad_token_id=0,
        repetition_penalty=penalty,
        **options,
    )
    return tuple(tokens[0, len(prompt) :].tolist())


@bounded(max_examples=500)
@given(
    kind=st.sampled_from(["llama", "qwen3", "mistral"]),
    seed=st.integers(0, 10**6),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=3),
    prompt=st.sampled_from(PROMPTS),
    max_new_tokens=st.integers(1, 24),
    eos_ids=st.lists(st.integers(0, N_VOCAB - 1), max_size=4, unique=True).map(tuple),
    penalty=st.sampled_from([1.0, 1.0, 0.8, 1.3, 3.0]),
    stop=st.lists(st.text("abcdefgh ", min_size=1, max_size=4), max_size=3).map(tuple),
)
def test_greedy_text_is_that_of_transformers_generate(
    target, tiny, drafts, tokenizer, kind, seed, names, prompt, max_new_tokens, eos_ids, penalty, stop
):
    # A stop string that begins in the prompt ends transformers' text and not ours, so none may.
    prompt = (*prompt, PIECES.index("."))
    model = target if kind == "llama" else tiny(kind, seed=3)
    arms = [Arm(drafts[name], 1 + 2 * i) for i, name in enumerate(names) if kind == "llama" or name != "early_exit"]
    arms.append(Arm(drafts["no_draft"], 0))
    engine = Engine(
        model.decoder, arms, RandomSelector(len(arms), seed), settings=EngineSettings(decode=tokenizer.decode)
    )
    sampling = SamplingParams(repetition_penalty=penalty)
    [found] = generate(engine, [Request("q", prompt, max_new_tokens, eos_ids, sampling=replace(sampling, stop=stop))])
    expected = transformers_text(model.reference, prompt, max_new_tokens, eos_ids, penalty, stop, tokenizer)
    assert found.token_ids == expected


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_a_batch_is_transformers_text_by_text(target, drafts, tokenizer, penalty):
    arms = [Arm(drafts[name], 3) for name in ("any_length", "model_trimmed", "early_exit", "lookup_1_3")]
    sampling = SamplingParams(repetition_penalty=penalty)
    requests = [Request(str(i), (*prompt, 23), 20, (i, 20 - i), sampling=sampling) for i, prompt in enumerate(PROMPTS)]
    engine = Engine(target.decoder, arms, RandomSelector(4, 2), settings=EngineSettings(max_batch=4))
    for request, found in zip(requests, generate(engine, requests), strict=True):
        assert found.token_ids == transformers_text(
            target.reference, request.token_ids, 20, request.eos_ids, penalty, (), tokenizer
        )


@pytest.mark.parametrize(("max_new_tokens", "penalty"), [(24, 1.0), (24, 1.3), (3, 1.0)])
def test_stop_strings_end_of_text_tokens_and_limits_all_end_texts_here(
    target, drafts, tokenizer, max_new_tokens, penalty
):
    """Each is made from the text itself, so that none of the comparisons above is of untouched texts alone."""
    model, sampling, finished = target.reference, SamplingParams(repetition_penalty=penalty), set()
    engine = Engine(
        target.decoder, [Arm(drafts["right"], 5)], settings=EngineSettings(max_batch=2, decode=tokenizer.decode)
    )
    for prompt in PROMPTS:
        whole = transformers_text(model, (*prompt, 23), max_new_tokens, (), penalty, (), tokenizer)
        middle = tokenizer.decode(whole[1:3])
        for eos_ids, stop in (((), ()), ((whole[2], whole[-1]), ()), ((), (middle, "!")), ((whole[2],), (middle[-1],))):
            request = Request("q", (*prompt, 23), max_new_tokens, eos_ids, sampling=replace(sampling, stop=stop))
            [found] = generate(engine, [request])
            assert found.token_ids == transformers_text(
                model, request.token_ids, max_new_tokens, eos_ids, penalty, stop, tokenizer
            )
            finished.add(found.finished)
    assert finished == {"eos", "stop", "length"}
