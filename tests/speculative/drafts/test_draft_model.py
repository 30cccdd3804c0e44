import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts import drafting_loop
from speculative.drafts.draft_model import VOCABULARY_FILE, DraftModel, VocabularyMismatchError
from speculative.models.tokenizer import tokenizer_fingerprint
from speculative.protocols.draft import Draft
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import DrawingSampler, SeededSource
from speculative.testing import check_draft
from tests.support.tiny_models import N_VOCAB, bounded, greedy_text, save_tiny, tokenizer_of

TARGET_IDS = [0, 3, 5, 8, 23, 1, 10, 11, 2]
WORDS = [f"word{i}" for i in range(N_VOCAB)]
texts = st.lists(st.integers(0, N_VOCAB - 1), min_size=2, max_size=40)


@pytest.fixture(scope="module")
def models(tiny):
    return {
        "full": DraftModel(tiny("qwen2", seed=5).decoder, name="full", n_target_vocab=N_VOCAB),
        "trimmed": DraftModel(
            tiny("llama", 11, vocab_size=9).decoder, name="trimmed", n_target_vocab=N_VOCAB, target_ids=TARGET_IDS
        ),
        "short": DraftModel(tiny("llama", 8, max_position_embeddings=14).decoder, name="short", n_target_vocab=N_VOCAB),
    }


def test_a_proposal_is_the_small_models_greedy_text(tiny, models):
    prefix = (3, 1, 4, 1, 5)
    proposal = models["full"].open(prefix).propose(prefix, 9)
    assert tuple(proposal.token_ids) == greedy_text(tiny("qwen2", seed=5).reference, prefix, 9)
    assert proposal.n_read == 5


def test_a_trimmed_draft_reads_and_writes_through_its_map(tiny, models):
    prefix = [3, 23, 7, 2]  # 7 is unknown to it
    proposal = models["trimmed"].open(prefix).propose(prefix, 12).token_ids
    own = [1, 4, 0, 8]
    model = tiny("llama", 11, vocab_size=9).reference
    for token in proposal:
        [best] = greedy_text(_without_unknown(model), tuple(own), 1)
        assert token == TARGET_IDS[best]
        own.append(best)


def _without_unknown(model):
    """Transformers' model, its id 0 never the likeliest."""

    class Masked:
        def __call__(self, token_ids, use_cache):
            output = model(token_ids, use_cache=use_cache)
            output.logits[..., 0] = float("-inf")
            return output

    return Masked()


@pytest.mark.parametrize("name", ["full", "trimmed"])
@bounded(max_examples=25)
@given(
    text=texts,
    growth=st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=8),
    follow=st.lists(st.integers(0, 6), min_size=8, max_size=8),
)
def test_a_session_that_reads_on_says_what_a_new_one_would(models, name, text, growth, follow):
    """The prefix grows by accepted draft tokens and by other tokens; idle rounds are longer growths."""
    session, prefix = models[name].open(text), text[:1]
    for (n_new, draft_length), n_followed in zip(growth, follow, strict=False):
        proposal = session.propose(prefix, draft_length)
        assert proposal.token_ids == models[name].open(prefix).propose(prefix, draft_length).token_ids
        assert len(proposal.token_ids) == draft_length
        assert 1 <= proposal.n_read <= len(prefix)
        prefix = prefix + proposal.token_ids[:n_followed] + text[1 : 1 + n_new]


def test_a_long_prefix_is_read_in_pieces_to_the_same_end(models, monkeypatch):
    prefix = [3, 1, 4, 1, 5, 9, 2, 6]
    whole = models["full"].open(prefix).propose(prefix, 5)
    logits = models["full"].logits_along(prefix[:5], prefix)
    monkeypatch.setattr(drafting_loop, "READ_CHUNK", 3)
    in_pieces = models["full"].open(prefix).propose(prefix, 5)
    assert (in_pieces.token_ids, in_pieces.n_read) == (whole.token_ids, 8)
    torch.testing.assert_close(models["full"].logits_along(prefix[:5], prefix).values, logits.values)


def test_accepted_tokens_are_not_read_again(models):
    prefix = [3, 1, 4]
    session = models["full"].open(prefix)
    proposed = session.propose(prefix, 4).token_ids
    assert session.propose([*prefix, *proposed], 4).n_read == 1  # the last draft token was written but not read
    other = (proposed[2] + 1) % N_VOCAB
    session = models["full"].open(prefix)
    session.propose(prefix, 4)
    assert session.propose([*prefix, *proposed[:2], other], 4).n_read == 1
    session = models["full"].open(prefix)
    session.propose(prefix, 4)
    assert session.propose([*prefix, (proposed[0] + 1) % N_VOCAB, 1, 1], 4).n_read == 3


@pytest.mark.parametrize("name", ["full", "trimmed", "short"])
@bounded(max_examples=15)
@given(text=texts, n_prompt=st.integers(1, 39), length=st.integers(1, 6))
def test_one_pass_finds_the_trace_of_asking_position_by_position(models, name, text, n_prompt, length):
    draft, prompt, new = models[name], text[:n_prompt], text[n_prompt:]
    if len(new) > 2:  # a text partly its own, or nothing would be accepted
        new = (new[:1] + draft.write([*prompt, *new[:1]], 3) + new[1:])[: len(new)]
    fast, slow = draft.trace(prompt, new, length), Draft.trace(draft, prompt, new, length)
    np.testing.assert_array_equal(fast.proposed, slow.proposed)
    np.testing.assert_array_equal(fast.accepted, slow.accepted)
    assert fast.max_positions == slow.max_positions == draft.max_positions
    assert fast.match_lengths is slow.match_lengths is None
    assert ((fast.confidences > 0) == (fast.proposed > 0)).all()
    assert (fast.confidences <= 1).all()


def test_a_drafts_confidence_is_its_probability_of_its_first_draft_token(models):
    draft, prompt, new = models["full"], [3, 1, 2], [4, 5, 6, 7]
    found = draft.trace(prompt, new, 2)
    for j in range(1, len(new)):
        read = torch.tensor([*prompt, *new[:j]])
        logits = draft.model.forward(TokenBatch(read, [len(read)]), draft.model.new_cache(1)).logits[-1]
        assert found.confidences[j] == pytest.approx(float(logits[: draft.proposable.stop].softmax(0).max()), rel=1e-5)


def test_a_draft_writes_as_far_as_its_context_reaches(models):
    assert len(models["full"].write([1, 2], 20)) == 20
    assert len(models["short"].write([1, 2], 20)) == 12
    assert models["short"].write([1] * 14, 20) == []


@pytest.mark.parametrize(
    "target_ids",
    [
        [],
        TARGET_IDS[:-1],
        [*TARGET_IDS[:-1], N_VOCAB],
        [*TARGET_IDS[:-1], -1],
        [*TARGET_IDS[:-1], TARGET_IDS[1]],
    ],
)
def test_a_vocabulary_that_does_not_fit_is_refused(tiny, target_ids):
    decoder = tiny("llama", 11, vocab_size=9).decoder
    with pytest.raises(VocabularyMismatchError, match="draft 'x': its vocabulary must name 9 target ids"):
        DraftModel(decoder, name="x", n_target_vocab=N_VOCAB, target_ids=target_ids)


def test_loading_checks_the_tokenizer(tmp_path):
    save_tiny("llama", tmp_path)
    tokenizer_of(WORDS).save_pretrained(tmp_path)
    draft = DraftModel.load(str(tmp_path), tokenizer_of(WORDS), N_VOCAB)
    assert draft.model.n_vocab == N_VOCAB
    other = tokenizer_of([*WORDS[:-2], *reversed(WORDS[-2:])])
    with pytest.raises(VocabularyMismatchError, match="its token ids do not mean what the target's do: id 22 is"):
        DraftModel.load(str(tmp_path), other, N_VOCAB)


def test_loading_a_trimmed_draft_needs_no_tokenizer_but_checks_whose_it_was(tmp_path):
    save_tiny("llama", tmp_path, vocab_size=9)
    target_tokenizer = tokenizer_of(WORDS)
    vocabulary = {"tokenizer": tokenizer_fingerprint(target_tokenizer), "target_ids": TARGET_IDS}
    (tmp_path / VOCABULARY_FILE).write_text(json.dumps(vocabulary))
    draft = DraftModel.load(str(tmp_path), target_tokenizer, N_VOCAB)
    assert set(draft.open([3]).propose([3], 20).token_ids) <= set(TARGET_IDS[1:])
    with pytest.raises(VocabularyMismatchError, match="was made for tokenizer"):
        DraftModel.load(str(tmp_path), tokenizer_of(WORDS[:-1]), N_VOCAB)
    for broken in ('{"tokenizer": "a"', '{"tokenizer": "a"}', "[]"):
        (tmp_path / VOCABULARY_FILE).write_text(broken)
        with pytest.raises(ValueError, match=f"{VOCABULARY_FILE} is not a draft's vocabulary file"):
            DraftModel.load(str(tmp_path), target_tokenizer, N_VOCAB)


def with_added(names):
    tokenizer = tokenizer_of(WORDS)
    tokenizer.add_special_tokens({"additional_special_tokens": list(names)})
    return tokenizer


@pytest.mark.parametrize(
    ("of_target", "of_draft", "never"),
    [
        (("<think>", "</think>"), (), {24, 25}),
        ((), ("<pad>",), {24}),
        (("<think>", "<tool>"), ("<pad>", "<tool>"), {24}),
    ],
)
def test_a_tokenizer_may_differ_in_added_tokens_which_are_never_proposed(tmp_path, of_target, of_draft, never):
    n_vocab = N_VOCAB + 2
    save_tiny("llama", tmp_path, vocab_size=n_vocab)
    with_added(of_draft).save_pretrained(tmp_path)
    draft = DraftModel.load(str(tmp_path), with_added(of_target), n_vocab)
    free = DraftModel(draft.model, name="free", n_target_vocab=n_vocab)
    prompts = [[i, (7 * i) % n_vocab] for i in range(n_vocab)]  # the text may hold them
    assert never & {token for prompt in prompts for token in free.write(prompt, 20)}  # the model would say them
    assert not never & {token for prompt in prompts for token in draft.write(prompt, 20)}
    sampler = DrawingSampler(SamplingParams(3.0), SeededSource(1, 1), n_vocab)
    assert not never & set(draft.open([1]).propose([1], 60, sampler).token_ids)
    check_draft(draft, n_vocab)
    new = free.write([3], 20)
    found, expected = draft.trace([3], new, 4), Draft.trace(draft, [3], new, 4)
    np.testing.assert_array_equal([found.proposed, found.accepted], [expected.proposed, expected.accepted])
    assert draft.fingerprint() != free.fingerprint()


def test_a_tokenizer_that_differs_in_other_tokens_is_another_family(tmp_path):
    save_tiny("llama", tmp_path)
    tokenizer_of(WORDS[:-1]).save_pretrained(tmp_path)
    with pytest.raises(VocabularyMismatchError, match=r"do: id 23 is None, to the target '.*'; name a draft of the"):
        DraftModel.load(str(tmp_path), tokenizer_of(WORDS), N_VOCAB)


@pytest.mark.parametrize("name", ["full", "trimmed", "short"])
def test_its_logits_along_a_text_are_largest_where_it_would_draft(models, name):
    draft, prompt, new = models[name], [3, 1, 23], [4, 5, 10, 7, 1, 2, 3, 4, 5, 6, 9, 8, 11, 0]
    found = draft.logits_along(prompt, new)
    best = found.values.argmax(-1)
    ids = best if found.entry_ids is None else found.entry_ids[best]
    drafted = [
        draft.open(prompt).propose([*prompt, *new[:j]], 1).token_ids
        for j in range(1, len(new))
        if len(prompt) + j < draft.max_positions
    ]
    assert [[token] for token in ids.tolist()] == drafted
    assert len(ids) == min(len(new) - 1, draft.max_positions - len(prompt) - 1)
    assert len(draft.logits_along([1] * 20, new).values) == (0 if name == "short" else len(new) - 1)
