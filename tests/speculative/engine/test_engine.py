import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.draft_model import DraftModel
from speculative.drafts.no_draft import NoDraft
from speculative.drafts.prompt_lookup import PromptLookup
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.models.loading import load_decoder
from speculative.models.settings import ModelSettings
from speculative.protocols.request import Request
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, TEXT_LENGTH, RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, ScriptedDraft, bounded, expected_text

eos_places = st.lists(st.integers(0, N_VOCAB - 1), max_size=2, unique=True).map(tuple)


def check_stats(generation, arms):
    """The identities that hold between a text and what was counted on the way."""
    stats = generation.stats
    assert stats.n_new == len(generation.token_ids)
    assert len(stats.actions) == len(stats.proposed) == len(stats.accepted) == stats.n_rounds
    for action, proposed, accepted in zip(stats.actions, stats.proposed, stats.accepted, strict=True):
        assert 0 <= accepted <= proposed <= arms[action].draft_length
    surplus = 1 + sum(stats.accepted) + stats.n_rounds - stats.n_new
    if stats.n_new:  # an accepted end of text leaves no room for the token the target adds
        assert surplus == 0 or (surplus == 1 and generation.finished == "eos" and stats.accepted[-1] > 0)
    if surplus == 1 and stats.n_new:
        assert stats.proposed[-1] == stats.accepted[-1]
    assert stats.catch_up_s <= stats.draft_s
    assert min(stats.prefill_s, stats.select_s, stats.draft_s, stats.verify_s, stats.host_s) >= 0.0


@pytest.mark.parametrize("name", DRAFT_NAMES)
@bounded(max_examples=60)
@given(
    draft_length=st.sampled_from([1, 2, 3, 7]),
    prompt=st.sampled_from(PROMPTS),
    max_new_tokens=st.integers(1, TEXT_LENGTH),
    eos_ids=eos_places,
)
def test_text_is_plain_greedy_for_every_draft(target, drafts, name, draft_length, prompt, max_new_tokens, eos_ids):
    arms = [Arm(drafts[name], 0 if name == "no_draft" else draft_length)]
    request = Request("q", prompt, max_new_tokens, eos_ids)
    [generation] = generate(Engine(target.decoder, arms), [request])
    expected = expected_text(target.reference, prompt, max_new_tokens, eos_ids)
    assert generation.token_ids == expected
    assert generation.finished == ("eos" if expected[-1] in eos_ids else "length")
    check_stats(generation, arms)


@bounded(max_examples=240)
@given(
    seed=st.integers(0, 10**6),
    max_batch=st.integers(1, 4),
    prefill_chunk=st.sampled_from([1, 3, 512]),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=5),
    asked=st.lists(
        st.tuples(st.sampled_from(PROMPTS), st.integers(1, TEXT_LENGTH), eos_places, st.integers(0, 8)),
        min_size=1,
        max_size=6,
    ),
    cancelled_at=st.dictionaries(st.integers(0, 5), st.integers(0, 10), max_size=2),
)
def test_switching_joining_leaving_and_cancelling_change_no_text(
    target, drafts, seed, max_batch, prefill_chunk, names, asked, cancelled_at
):
    lengths = itertools.cycle([3, 1, 7, 2])
    arms = [Arm(drafts[name], next(lengths)) for name in names] + [Arm(drafts["no_draft"], 0)]
    selector = RandomSelector(len(arms), seed)
    engine = Engine(
        target.decoder, arms, selector, settings=EngineSettings(max_batch=max_batch, prefill_chunk=prefill_chunk)
    )
    requests = [Request(str(i), prompt, n, eos) for i, (prompt, n, eos, _) in enumerate(asked)]
    texts = {request.id: [] for request in requests}
    ended = {}
    for step in itertools.count():
        for request, (*_, joins_at) in zip(requests, asked, strict=True):
            if joins_at == step:
                engine.submit(request)
        for i, at in cancelled_at.items():
            if at == step and i < len(requests) and asked[i][-1] <= step and str(i) not in ended:
                engine.cancel(str(i))
                ended[str(i)] = "cancelled"
        for result in engine.step():
            texts[result.request_id] += result.token_ids
            if result.finished is not None:
                ended[result.request_id] = result.finished
        audit(engine, target.decoder)
        if step > 8 and not engine.n_unfinished:
            break
    assert set(ended) == set(texts)
    for request in requests:
        expected = expected_text(target.reference, request.token_ids, request.max_new_tokens, request.eos_ids)
        generation = engine.take(request.id)
        assert generation.token_ids == tuple(texts[request.id])
        assert generation.token_ids == expected[: len(generation.token_ids)]
        assert generation.finished == ended[request.id]
        assert generation.finished == "cancelled" or generation.token_ids == expected
        check_stats(generation, arms)
    check_what_the_selector_saw(selector, engine, texts)
    assert all(draft.n_open == 0 for draft in drafts.values() if isinstance(draft, ScriptedDraft))


def check_what_the_selector_saw(selector, engine, texts):
    started = [query.request.id for query in selector.started]
    assert sorted(started) == sorted(selector.finished)
    assert [(o.request_id, o.action) for o in selector.observations] == selector.chosen
    for request_id in started:
        own = [o for o in selector.observations if o.request_id == request_id]
        assert 1 + sum(o.n_new for o in own) == len(texts[request_id])
        assert all(o.n_accepted <= o.n_new <= o.n_accepted + 1 and 0 < o.select_s < o.seconds for o in own)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_on_cuda_the_text_is_plain_greedy(target, tiny):
    decoder = load_decoder(str(target.folder), ModelSettings(device="cuda"))
    draft = DraftModel(
        load_decoder(str(tiny("qwen2", seed=5).folder), ModelSettings(device="cuda")),
        name="random",
        n_target_vocab=N_VOCAB,
    )
    arms = [Arm(draft, 3), Arm(PromptLookup(3), 4), Arm(NoDraft(), 0)]
    requests = [Request(str(i), prompt, 20) for i, prompt in enumerate(PROMPTS)]
    for generation in generate(
        Engine(decoder, arms, RandomSelector(3, 0), settings=EngineSettings(max_batch=3)), requests
    ):
        prompt = PROMPTS[int(generation.request_id)]
        assert generation.token_ids == expected_text(target.reference, prompt, 20, ())
