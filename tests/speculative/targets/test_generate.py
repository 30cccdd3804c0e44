"""A target's own `generate` and `stream`, and a transformers model that is in memory."""

import pytest
from transformers import AutoModelForCausalLM

from arms import Query
from speculative import NoDraft, PromptLookup, SamplingParams, Target
from speculative.drafts import EarlyExit
from tests.support.tiny_pool import TEMPLATE, byte_tokenizer, save_pool

PROMPT = "count: one two one two one"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_pool(tmp_path_factory.mktemp("pool"), TEMPLATE).parent / "target"


@pytest.fixture(scope="module")
def target(folder):
    return Target.load(str(folder), max_new_tokens=20)


@pytest.mark.parametrize(
    "options",
    [
        {"draft": PromptLookup(), "draft_length": 7},
        {"draft": PromptLookup()},
        {"draft": "prompt_lookup"},
        {"draft": "suffix", "draft_length": 3},
        {"draft": NoDraft()},
    ],
    ids=str,
)
def test_the_text_is_the_targets_own_whatever_drafts(target, options):
    plain = target.generate(PROMPT)
    assert plain.text == target.text(plain.token_ids)
    assert 1 <= len(plain.token_ids) <= 20
    helped = target.generate(PROMPT, **options)
    assert (helped.text, helped.token_ids) == (plain.text, plain.token_ids)
    assert "".join(target.stream(PROMPT, **options)) == plain.text


def test_a_draft_of_the_targets_layers_helps_too(target):
    draft = EarlyExit(target.model, n_layers=1)
    assert target.generate(PROMPT, draft=draft, draft_length=2).text == target.generate(PROMPT).text


def test_a_prompt_may_be_a_text_messages_or_a_query(target):
    answers = [
        target.generate(PROMPT, max_new_tokens=6),
        target.generate([{"role": "user", "content": PROMPT}], max_new_tokens=6),
        target.generate(Query(id="q", prompt=PROMPT), max_new_tokens=6),
        target.generate(Query(id="q", prompt=PROMPT, max_new_tokens=6)),
    ]
    assert len({answer.token_ids for answer in answers}) == 1
    assert [answer.request_id for answer in answers] == ["prompt", "prompt", "q", "q"]


def test_sampling_and_stops_are_kept(target):
    sampling = SamplingParams(temperature=1.0, seed=5)
    first = target.generate(PROMPT, sampling=sampling)
    assert first.seed == 5
    assert target.generate(PROMPT, sampling=sampling, draft=PromptLookup()).text == first.text
    plain = target.generate(PROMPT).text
    stopped = target.generate(PROMPT, stop=[plain[3:5]])
    assert stopped.text == plain[: plain.index(plain[3:5])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draft_length": 3}, "draft_length must be >= 1 with a draft and not given without, got 3"),
        ({"draft": PromptLookup(), "draft_length": 0}, "draft_length must be >= 1 with a draft .* got 0"),
        ({"draft": "oracle"}, "unknown draft 'oracle'; there are no_draft, prompt_lookup"),
        ({"draft": "draft_model"}, "model"),
        ({"max_new_tokens": 0}, "max_new_tokens"),
        ({"stop": [""]}, "stop string"),
    ],
)
def test_what_cannot_be_done_is_refused(target, options, message):
    with pytest.raises(ValueError, match=message):
        target.generate(PROMPT, **options)


@pytest.mark.parametrize(
    ("prompt", "error"), [(" ", ValueError), ([], ValueError), ([{"role": "user"}], ValueError), (3, TypeError)]
)
def test_what_is_no_prompt_is_refused(target, prompt, error):
    with pytest.raises(error):
        target.generate(prompt)


def test_a_model_in_memory_is_a_target(folder, target):
    model = AutoModelForCausalLM.from_pretrained(folder)
    held = Target.of(model, byte_tokenizer(TEMPLATE), max_new_tokens=20)
    assert held.eos_ids == target.eos_ids
    assert held.n_tokens == target.n_tokens
    assert held.name == str(folder)
    assert held.folder is None
    plain = target.generate(PROMPT)
    assert held.generate(PROMPT, draft=PromptLookup()).token_ids == plain.token_ids
    assert held.fingerprint() != target.fingerprint()  # another way of computing


def test_a_model_in_memory_counts_by_its_weights(folder):
    models = [AutoModelForCausalLM.from_pretrained(folder) for _ in range(3)]
    models[2].get_input_embeddings().weight.data.mul_(1.01)
    first, same, other = (Target.of(model, byte_tokenizer()).fingerprint() for model in models)
    assert first == same != other
