"""Bias, penalties, bad words, least lengths and processors of one's own: texts are those of transformers."""

import itertools
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LogitsProcessor as TheirProcessor
from transformers import LogitsProcessorList

from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate, stream
from speculative.engine.settings import EngineSettings
from speculative.protocols.request import Request
from speculative.sampling.logits_processor import LogitsProcessor
from speculative.sampling.sampling_params import SamplingParams
from tests.support.hard_cases import DRAFT_NAMES, PROMPTS, RandomSelector
from tests.support.tiny_models import N_VOCAB, Arm, bounded


class Alternating(LogitsProcessor):
    """Ids of the last token's parity are less likely by three."""

    def process(self, prefix, logits):
        logits[prefix[-1] % 2 :: 2] -= 3.0
        return logits


class Theirs(TheirProcessor):
    """The reference: OpenAI's penalties over the answer, then one of our processors."""

    def __init__(self, params, n_prompt):
        self.params, self.n_prompt = params, n_prompt

    def __call__(self, input_ids, scores):
        answer = input_ids[0, self.n_prompt :].tolist()
        scores = scores.clone()
        for token in set(answer):
            scores[0, token] -= self.params.frequency_penalty * answer.count(token) + self.params.presence_penalty
        for processor in self.params.logits_processors:
            scores[0] = processor.process(input_ids[0].tolist(), scores[0])
        return scores


def transformers_text(model, request):
    """New tokens of `generate`, and its raw logits at each."""
    params, prompt = request.sampling, request.token_ids
    options = {
        "sequence_bias": [[[token], bias] for token, bias in params.logit_bias],
        "bad_words_ids": [list(word) for word in params.bad_words],
        "min_new_tokens": params.min_new_tokens if request.eos_ids else 0,
    }
    found = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
        do_sample=False,
        max_new_tokens=request.max_new_tokens,
        eos_token_id=list(request.eos_ids) or -1,
        pad_token_id=0,
        repetition_penalty=params.repetition_penalty,
        logits_processor=LogitsProcessorList([Theirs(params, len(prompt))]),
        return_dict_in_generate=True,
        output_logits=True,
        **{name: value for name, value in options.items() if value},
    )
    return tuple(found.sequences[0, len(prompt) :].tolist()), torch.cat(found.logits)


token = st.integers(0, N_VOCAB - 1)
controls = st.builds(
    SamplingParams,
    repetition_penalty=st.sampled_from([1.0, 0.8, 1.3]),
    presence_penalty=st.sampled_from([0.0, 1.5, -0.5]),
    frequency_penalty=st.sampled_from([0.0, 0.7, -0.2]),
    logit_bias=st.dictionaries(token, st.sampled_from([-100.0, -2.0, 1.5, 4.0]), max_size=4),
    bad_words=st.lists(st.lists(token, min_size=1, max_size=2), max_size=4),
    min_new_tokens=st.sampled_from([0, 0, 4, 8]),
    logits_processors=st.sampled_from([(), (), (Alternating(),)]),
)


@bounded(max_examples=300)
@given(
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=3),
    seed=st.integers(0, 10**6),
    prompt=st.sampled_from(PROMPTS),
    max_new_tokens=st.integers(8, 20),
    eos_ids=st.lists(token, max_size=3, unique=True).map(tuple),
    sampling=controls,
)
def test_controlled_greedy_text_is_that_of_transformers_generate(
    target, drafts, names, seed, prompt, max_new_tokens, eos_ids, sampling
):
    eos_ids = tuple(i for i in eos_ids if (i,) not in sampling.bad_words)  # transformers lets those pass
    request = Request("q", (*prompt, 23), max_new_tokens, eos_ids, sampling=sampling)  # its bad words need two tokens
    arms = [Arm(drafts[name], 1 + 2 * i) for i, name in enumerate(names)] + [Arm(drafts["no_draft"], 0)]
    [found] = generate(Engine(target.decoder, arms, RandomSelector(len(arms), seed)), [request])
    assert found.token_ids == transformers_text(target.reference, request)[0]


@pytest.mark.parametrize("name", DRAFT_NAMES)
def test_logprobs_are_those_of_the_models_own_logits_for_every_draft(target, drafts, name):
    sampling = SamplingParams(logprobs=3, logit_bias={2: 1.0}, frequency_penalty=0.5)
    arms = [Arm(drafts[name], 0 if name == "no_draft" else 3)]
    for prompt in PROMPTS[:4]:
        request = Request("q", (*prompt, 23), 12, sampling=sampling)
        pieces = []
        engine = Engine(target.decoder, arms)
        for result in stream(engine, request):
            pieces += result.logprobs
        found = engine.take("q")
        tokens, logits = transformers_text(target.reference, request)
        assert found.token_ids == tokens
        assert tuple(pieces) == found.logprobs
        assert [one.token_id for one in pieces] == list(tokens)
        expected = logits.log_softmax(-1)
        for one, row in zip(pieces, expected, strict=True):
            assert one.logprob == pytest.approx(float(row[one.token_id]), abs=1e-4)
            assert [i for i, _ in one.best] == row.topk(3).indices.tolist()
            assert [p for _, p in one.best] == pytest.approx(row.topk(3).values.tolist(), abs=1e-4)


def test_logprobs_are_cut_where_the_text_ends(target, drafts):
    [whole] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 12)])
    request = Request("q", PROMPTS[0], 12, (whole.token_ids[3],), sampling=SamplingParams(logprobs=0))
    [found] = generate(Engine(target.decoder, [Arm(drafts["right"], 7)]), [request])
    assert [one.token_id for one in found.logprobs] == list(found.token_ids)
    assert all(one.best == () for one in found.logprobs)
    assert generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 2)])[0].logprobs is None


@pytest.mark.parametrize("changes", [{}, {"temperature": 0.9, "seed": 3}], ids=["greedy", "coupling"])
def test_a_draft_that_is_the_target_is_accepted_whole_under_controls(target, drafts, changes):
    controls = SamplingParams(
        repetition_penalty=1.3,
        presence_penalty=0.8,
        frequency_penalty=0.5,
        logit_bias={2: 2.0, 7: -100.0},
        bad_words=[(3, 5), (8,)],
        min_new_tokens=9,
        **changes,
    )
    engine = Engine(target.decoder, [Arm(drafts["model_itself"], 4)])
    requests = [Request(str(i), prompt, 12, (5, 11), sampling=controls) for i, prompt in enumerate(PROMPTS)]
    for found in generate(engine, requests):
        assert found.stats.n_accepted == found.stats.n_proposed > 0


@bounded(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    names=st.lists(st.sampled_from(DRAFT_NAMES), min_size=1, max_size=4),
    sampling=controls,
    prompts=st.lists(st.sampled_from(PROMPTS), min_size=1, max_size=3),
)
def test_no_draft_batch_or_schedule_changes_a_controlled_sampled_text(target, drafts, seed, names, sampling, prompts):
    changes = {name: getattr(sampling, name) for name in SamplingParams.__dataclass_fields__}
    sampling = SamplingParams(**(changes | {"temperature": 0.9, "top_p": 0.95, "seed": seed}))
    requests = [Request(str(i), prompt, 12, (5,), sampling=sampling) for i, prompt in enumerate(prompts)]
    plain = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), requests)
    lengths = itertools.cycle([3, 1, 5])
    arms = [Arm(drafts[name], next(lengths)) for name in names] + [Arm(drafts["no_draft"], 0)]
    engine = Engine(target.decoder, arms, RandomSelector(len(arms), seed), settings=EngineSettings(max_batch=2))
    for found, expected in zip(generate(engine, requests), plain, strict=True):
        assert (found.token_ids, found.finished) == (expected.token_ids, expected.finished)


class Failing(LogitsProcessor):
    def __init__(self, then):
        self.then = then

    def process(self, prefix, logits):
        return self.then(logits) if len(prefix) > 8 else logits


def raising(logits):
    raise RuntimeError("out of ideas")


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        (raising, "RuntimeError in a logits processor: out of ideas"),
        (
            lambda logits: logits[1:],
            r"ValueError in a logits processor: logits processor Failing must return \(24,\) f",
        ),
        (lambda logits: None, r"ValueError in a logits processor: .* floats, got None"),
        (
            lambda logits: logits * float("nan"),
            "the largest logit must be finite once all controls are applied, got nan",
        ),
        (
            lambda logits: logits - float("inf"),
            "the largest logit must be finite once all controls are applied, got -inf",
        ),
    ],
)
@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_a_processor_that_fails_ends_its_own_request_with_the_reason(target, drafts, then, reason, temperature):
    sampling = SamplingParams(temperature, seed=1, logits_processors=[Failing(then)])
    requests = [Request("bad", (1, 2, 3), 12, sampling=sampling), Request("good", (1, 2, 3), 12)]
    engine = Engine(target.decoder, [Arm(drafts["lookup_1_3"], 3)], settings=EngineSettings(max_batch=2))
    bad, good = generate(engine, requests)
    assert (bad.finished, len(bad.token_ids), good.finished) == ("failed", 6, "length")
    assert bad.stats.faults == []
    assert re.match(reason, bad.failure)
    assert good.failure is None


def test_a_text_none_of_whose_tokens_is_allowed_fails_at_once(target):
    sampling = SamplingParams(bad_words=[[i] for i in range(N_VOCAB)])
    [found] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", PROMPTS[0], 4, sampling=sampling)])
    assert (found.finished, found.token_ids) == ("failed", ())
    assert "the largest logit must be finite once all controls are applied" in found.failure


@pytest.mark.parametrize("sampling", [SamplingParams(logit_bias={20: 1.0}), SamplingParams(bad_words=[(1, 20)])])
def test_ids_that_the_target_never_writes_are_rejected(target, sampling):
    engine = Engine(target.decoder, [Arm(NoDraft(), 0)], settings=EngineSettings(n_tokens=15))
    with pytest.raises(ValueError, match="request 'q': logit_bias and bad_words must name token ids below 15, got 20"):
        engine.submit(Request("q", (1,), 4, sampling=sampling))


def test_a_bad_word_is_kept_out_where_the_prompt_begins_it(target):
    [free] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", (7,), 1)])
    sampling = SamplingParams(bad_words=[(7, *free.token_ids)])
    [found] = generate(Engine(target.decoder, [Arm(NoDraft(), 0)]), [Request("q", (7,), 1, sampling=sampling)])
    assert found.token_ids != free.token_ids
