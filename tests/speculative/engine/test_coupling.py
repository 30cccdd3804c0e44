import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, RandomSelector, audit
from tests.support.tiny_models import N_VOCAB, Arm, bounded

params = st.builds(
    SamplingParams,
    temperature=st.sampled_from([0.3, 1.0, 1.7]),
    top_k=st.sampled_from([0, 0, 7]),
    top_p=st.sampled_from([1.0, 1.0, 0.8]),
    min_p=st.sampled_from([0.0, 0.05]),
    repetition_penalty=st.sampled_from([1.0, 1.3]),
    seed=st.integers(0, 2**40),
)


def plain(target, requests):
    return generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)


@pytest.mark.parametrize("name", DRAFT_NAMES)
@bounded(max_examples=30)
@given(prompt=st.sampled_from(PROMPTS), draft_length=st.sampled_from([1, 2, 5]), sampling=params)
def test_sampled_text_is_that_of_no_draft_for_every_draft(target, drafts, name, prompt, draft_length, sampling):
    request = Request("q", prompt, 16, (5,), sampling=sampling)
    arms = [Arm(drafts[name], 0 if name == "no_draft" else draft_length)]
    [found], [expected] = generate(Engine(target.decoder, arms), [request]), plain(target, [request])
    assert found.token_ids == expected.token_ids
    assert (found.finished, found.seed) == (expected.finished, sampling.seed)


@bounded(max_examples=120)
@given(
    seed=st.integers(0, 10**6),
    max_batch=st.integers(1, 4),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=5),
    asked=st.lists(
        st.tuples(st.sampled_from(PROMPTS), st.integers(1, 16), params, st.integers(0, 6)), min_size=1, max_size=5
    ),
)
def test_no_schedule_batch_or_neighbour_changes_a_sampled_text(target, drafts, seed, max_batch, names, asked):
    lengths = itertools.cycle([3, 1, 7, 2])
    arms = [Arm(drafts[name], next(lengths)) for name in names] + [Arm(drafts["no_draft"], 0)]
    engine = Engine(target.decoder, arms, RandomSelector(len(arms), seed), settings=EngineSettings(max_batch=max_batch))
    requests = [Request(str(i), prompt, n, (5,), sampling=own) for i, (prompt, n, own, _) in enumerate(asked)]
    for step in itertools.count():
        for request, (*_, joins_at) in zip(requests, asked, strict=True):
            if joins_at == step:
                engine.submit(request)
        engine.step()
        audit(engine, target.decoder)
        if step > 6 and not engine.n_unfinished:
            break
    for request, expected in zip(requests, plain(target, requests), strict=True):
        assert engine.take(request.id).token_ids == expected.token_ids


def test_a_seed_is_fresh_unless_given_and_gives_the_text_again(target):
    request = Request("q", PROMPTS[0], 16, sampling=SamplingParams(1.5))
    texts = [plain(target, [request])[0] for _ in range(4)]
    assert len({text.seed for text in texts}) == len({text.token_ids for text in texts}) == 4
    again = Request("q", PROMPTS[0], 16, sampling=SamplingParams(1.5, seed=texts[0].seed))
    assert plain(target, [again])[0].token_ids == texts[0].token_ids
    assert plain(target, [Request("q", PROMPTS[0], 16)])[0].seed is None


@pytest.mark.parametrize("verification", ["coupling", "rejection"])
def test_a_draft_that_is_the_target_is_always_accepted(target, drafts, verification):
    sampling = SamplingParams(1.3, top_p=0.9, verification=verification, seed=11)
    requests = [Request(str(i), prompt, 20, sampling=sampling) for i, prompt in enumerate(PROMPTS)]
    for generation in generate(Engine(target.decoder, [Arm(drafts["model_itself"], 4)]), requests):
        assert generation.stats.n_accepted == generation.stats.n_proposed > 10


@pytest.mark.parametrize(
    "way", [SamplingParams(), SamplingParams(1.0, seed=1), SamplingParams(1.0, seed=1, verification="rejection")]
)
def test_padding_of_the_vocabulary_is_never_chosen(target, drafts, way):
    n_tokens = 15
    arms = [Arm(drafts["right"], 2), Arm(drafts["lookup_1_3"], 3), Arm(drafts["model_random"], 2)]
    engine = Engine(target.decoder, arms, RandomSelector(3, 0), settings=EngineSettings(n_tokens=n_tokens))
    prompts = [tuple(token % n_tokens for token in prompt) for prompt in PROMPTS]
    for generation in generate(engine, [Request(str(i), p, 20, sampling=way) for i, p in enumerate(prompts)]):
        assert max(generation.token_ids) < n_tokens
        assert len(generation.token_ids) == 20
    with pytest.raises(ValueError, match=rf"n_tokens must be in \[1, {N_VOCAB}\]"):
        Engine(target.decoder, arms, settings=EngineSettings(n_tokens=N_VOCAB + 1))


def test_rejection_accepts_more_than_coupling_which_accepts_more_than_a_greedy_draft(target, drafts):
    """Averaged over many rounds of a draft near the target: the order known from the two distributions."""
    rates = {}
    for verification in ("coupling", "rejection"):
        proposed = accepted = 0
        for seed in range(60):
            sampling = SamplingParams(1.5, verification=verification, seed=seed)
            arm = Arm(drafts["early_exit"], 1)
            [found] = generate(Engine(target.decoder, [arm]), [Request("q", PROMPTS[seed % 12], 20, sampling=sampling)])
            proposed += sum(found.stats.proposed)
            accepted += sum(found.stats.accepted)
        rates[verification] = accepted / proposed
    assert rates["rejection"] > rates["coupling"] > 1 / N_VOCAB
    assert torch.isfinite(torch.tensor(rates["rejection"]))
