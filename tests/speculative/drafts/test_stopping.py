import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.early_exit import EarlyExit
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.protocols.draft import Draft
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import DrawingSampler, SeededSource
from tests.support.hard_cases import RandomSelector
from tests.support.tiny_models import N_VOCAB, Arm, bounded, expected_text

texts = st.lists(st.integers(0, N_VOCAB - 1), min_size=2, max_size=30)
thresholds = st.sampled_from((0.02, 0.1, 0.3, 0.7, 1.0))
KINDS = ("model", "trimmed", "early_exit", "short")


@pytest.fixture(scope="module")
def drafts(tiny):
    target = tiny("llama").decoder
    return {
        "model": DraftModel(tiny("qwen2", seed=5).decoder, name="model", n_target_vocab=N_VOCAB),
        "trimmed": DraftModel(
            tiny("llama", 11, vocab_size=9).decoder,
            name="trimmed",
            n_target_vocab=N_VOCAB,
            target_ids=[0, 3, 5, 8, 23, 1, 10, 11, 2],
        ),
        "early_exit": EarlyExit(target, n_layers=1),
        "short": DraftModel(tiny("llama", 8, max_position_embeddings=14).decoder, name="short", n_target_vocab=N_VOCAB),
    }


def confidences(reference, prefix, token_ids):
    """The product so far of the largest probabilities, from transformers' model and whole prefixes."""
    found, product = [], 1.0
    with torch.inference_mode():
        for i in range(len(token_ids) + 1):
            logits = reference(torch.tensor([[*prefix, *token_ids[:i]]]), use_cache=False).logits[0, -1]
            product *= float(logits.softmax(0).max())
            found.append(product)
    return found


@bounded(max_examples=25)
@given(prefix=texts, least=thresholds, draft_length=st.integers(1, 6))
def test_drafting_ends_before_the_first_token_at_which_the_product_falls_below(
    tiny, drafts, prefix, least, draft_length
):
    whole = drafts["model"].open(prefix).propose(prefix, draft_length).token_ids
    stopped = drafts["model"].stopping_below(least)
    found = stopped.open(prefix).propose(prefix, draft_length).token_ids
    product = confidences(tiny("qwen2", seed=5).reference, prefix, whole)
    n = next((i for i, value in enumerate(product[:draft_length]) if value < least), draft_length)
    assert found == whole[:n]


@pytest.mark.parametrize("kind", KINDS)
@bounded(max_examples=15)
@given(text=texts, least=thresholds, growth=st.lists(st.tuples(st.integers(1, 4), st.integers(1, 5)), max_size=6))
def test_a_session_that_stopped_reads_on_as_a_new_one_would(drafts, kind, text, least, growth):
    draft, prefix = drafts[kind].stopping_below(least), text[:1]
    session = draft.open(text[:1])
    for n_new, draft_length in growth:
        asked = min(draft_length, draft.max_positions - len(prefix))
        if asked < 1:
            break
        found = session.propose(prefix, asked).token_ids
        assert found == draft.open(prefix).propose(prefix, asked).token_ids
        prefix = prefix + found[: n_new - 1] + text[1 : 1 + n_new]


@pytest.mark.parametrize("kind", KINDS)
@bounded(max_examples=20)
@given(text=texts, n_prompt=st.integers(1, 29), length=st.integers(1, 6), least=thresholds)
def test_the_trace_of_a_stopping_draft_is_that_of_asking_position_by_position(
    drafts, kind, text, n_prompt, length, least
):
    draft, prompt, new = drafts[kind].stopping_below(least), text[:n_prompt], text[n_prompt:]
    if len(new) > 2:  # a text partly its own, or nothing would be accepted
        own = drafts[kind].open(prompt).propose([*prompt, *new[:1]], 3).token_ids
        new = (new[:1] + own + new[1:])[: len(new)]
    fast, slow = draft.trace(prompt, new, length), Draft.trace(draft, prompt, new, length)
    np.testing.assert_array_equal(fast.proposed, slow.proposed)
    np.testing.assert_array_equal(fast.accepted, slow.accepted)
    assert fast.stops


def test_a_stopping_draft_verifies_all_that_it_drew(drafts):
    prefix = [3, 1, 4, 1, 5]
    n_proposed = set()
    for seed in range(20):
        sampler = DrawingSampler(SamplingParams(1.0), SeededSource(seed, 1), N_VOCAB)
        found = drafts["model"].stopping_below(0.05).open(prefix).propose(prefix, 6, sampler)
        assert tuple(found.token_ids) == sampler.drawn().token_ids
        n_proposed.add(len(found.token_ids))
    assert len(n_proposed) > 1


@pytest.mark.parametrize("least", [0.05, 0.3, 1.0])
@pytest.mark.parametrize("params", [SamplingParams(), SamplingParams(0.8, seed=3)], ids=["greedy", "coupled"])
def test_the_text_is_the_targets_wherever_drafts_stop(tiny, drafts, least, params):
    target = tiny("llama").decoder
    arms = [Arm(drafts[kind].stopping_below(least), 4) for kind in KINDS] + [Arm(NoDraft(), 0)]
    request = Request("q", (3, 1, 4), 20, sampling=params)
    [plain] = generate(Engine(target, arms[-1:]), [request])
    for seed in range(3):
        [found] = generate(Engine(target, arms, RandomSelector(len(arms), seed)), [request])
        assert found.token_ids == plain.token_ids
        assert found.stats.faults == []
    if params.greedy:
        assert plain.token_ids == expected_text(tiny("llama").reference, (3, 1, 4), 20, ())


def test_a_threshold_of_zero_computes_no_probability_and_one_of_one_leaves_all_out(drafts):
    prefix = [3, 1, 4]
    assert len(drafts["model"].open(prefix).propose(prefix, 4).token_ids) == 4
    assert drafts["model"].stopping_below(1.0).open(prefix).propose(prefix, 4).token_ids == []
    assert drafts["model"].stopping_below(1.0).unstopped().min_confidence == 0.0


@pytest.mark.parametrize("least", [-0.1, 1.1, float("nan"), True])
def test_a_threshold_that_is_no_probability_is_refused(tiny, drafts, least):
    with pytest.raises(ValueError, match=r"min_confidence must be a finite number in \[0, 1\]"):
        drafts["model"].stopping_below(least)
    with pytest.raises(ValueError, match="min_confidence must be"):
        DraftModel(tiny("qwen2", seed=5).decoder, name="x", n_target_vocab=N_VOCAB, min_confidence=least)
    with pytest.raises(ValueError, match="min_confidence must be"):
        EarlyExit(tiny("llama").decoder, n_layers=1, min_confidence=least)


def test_where_a_draft_stops_is_part_of_what_it_is(drafts):
    draft = drafts["model"]
    assert draft.stopping_below(0.3).fingerprint() != draft.fingerprint() == draft.stopping_below(0.0).fingerprint()
