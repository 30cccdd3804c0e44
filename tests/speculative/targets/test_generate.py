"""A target's own `generate` and `stream`, and a transformers model that is in memory."""

import json
from dataclasses import replace

import pytest
from tokenizers import Tokenizer, processors
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from arms import Query
from speculative import NoDraft, PromptLookup, Rendering, SamplingParams, Target
from speculative.drafts import EarlyExit
from tests.support.tiny_pool import TEMPLATE, byte_tokenizer, save_pool

PROMPT = "count: one two one two one"
SIX = SamplingParams(max_new_tokens=6)


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
    ids=lambda options: " ".join(str(getattr(option, "name", option)) for option in options.values()),
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
        target.generate(PROMPT, sampling=SIX),
        target.generate([{"role": "user", "content": PROMPT}], sampling=SIX),
        target.generate(Query(id="q", prompt=PROMPT), sampling=SIX),
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
    stopped = target.generate(PROMPT, sampling=SamplingParams(stop=[plain[3:5]]))
    assert stopped.text == plain[: plain.index(plain[3:5])]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"draft_length": 3}, "draft_length must be >= 1 with a draft and not given without, got 3"),
        ({"draft": PromptLookup(), "draft_length": 0}, "draft_length must be >= 1 with a draft .* got 0"),
        ({"draft": "oracle"}, "unknown draft 'oracle'; there are no_draft, prompt_lookup"),
        ({"draft": "draft_model"}, "model"),
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


def test_controls_reach_the_text(target):
    plain = target.generate(PROMPT)
    first = plain.token_ids[0]
    sampling = SamplingParams(logit_bias={first: -100}, presence_penalty=1.0, min_new_tokens=8, logprobs=2)
    found = target.generate(PROMPT, sampling=sampling, draft="prompt_lookup")
    assert first not in found.token_ids
    assert found.token_ids == target.generate(PROMPT, sampling=sampling).token_ids
    assert [one.token_id for one in found.logprobs] == list(found.token_ids)


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think></think>{% endif %}{% endif %}"
)


def test_template_variables_and_an_open_last_message_are_rendered_as_transformers_does(target):
    target = replace(target, tokenizer=byte_tokenizer(CHATML))
    user = {"role": "user", "content": "y"}
    asked = target.request(Query(id="q", messages=[user]), rendering=Rendering({"enable_thinking": False}))
    assert target.text(asked.token_ids).endswith("<|im_start|>assistant\n<think></think>")
    started = [user, {"role": "assistant", "content": "Sure:"}]
    goes_on = Rendering(continue_final_message=True)
    request = target.request(Query(id="q", messages=started), rendering=goes_on)
    rendered = target.tokenizer.apply_chat_template(started, continue_final_message=True, return_dict=True)
    assert request.token_ids == tuple(rendered["input_ids"])
    assert target.text(request.token_ids).endswith("assistant\nSure:")
    answer = target.generate(started, rendering=goes_on, draft="prompt_lookup")
    assert answer.token_ids == target.generate(started, rendering=goes_on).token_ids
    assert "".join(target.stream(started, rendering=goes_on)) == answer.text
    assert answer.token_ids != target.generate(started).token_ids


def test_the_targets_own_template_variables_stand_where_a_rendering_sets_none(target):
    variables = {"enable_thinking": False}
    own = replace(target, tokenizer=byte_tokenizer(CHATML), chat_template_kwargs=variables)
    plain, query = replace(own, chat_template_kwargs={}), Query(id="q", prompt="y")
    assert own.request(query).token_ids == plain.request(query, rendering=Rendering(variables)).token_ids
    thinks = Rendering({"enable_thinking": True})
    assert own.request(query, rendering=thinks).token_ids == plain.request(query).token_ids
    assert own.fingerprint() != plain.fingerprint()
    with pytest.raises(ValueError, match="reads, got 'thinking'"):
        replace(own, chat_template_kwargs={"thinking": False})


def test_tools_are_rendered_as_transformers_does(target):
    template = "{% for t in tools %}<{{ t['name'] }}>{% endfor %}" + CHATML
    target, tools = replace(target, tokenizer=byte_tokenizer(template)), [{"name": "add", "parameters": {}}]
    found = target.request(Query(id="q", prompt="y"), rendering=Rendering(tools=tools))
    messages = [{"role": "user", "content": "y"}]
    rendered = target.tokenizer.apply_chat_template(messages, tools=tools, add_generation_prompt=True, return_dict=True)
    assert found.token_ids == tuple(rendered["input_ids"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chat_template_kwargs": "x"}, "must map names to values, got 'x'"),
        ({"chat_template_kwargs": {1: 2}}, "must map names to values"),
        ({"tools": {"name": "add"}}, "tools must be a sequence of JSON schemas"),
        ({"tools": ["add"]}, "tools must be a sequence of JSON schemas"),
        ({"continue_final_message": 1}, "must be True or False, got 1"),
    ],
)
def test_a_rendering_of_another_type_is_refused(options, message):
    with pytest.raises(TypeError, match=message):
        Rendering(**options)


@pytest.mark.parametrize(
    ("template", "options", "message"),
    [
        (CHATML, {"continue_final_message": True}, "needs a last message of role 'assistant', got 'user'"),
        (CHATML, {"chat_template_kwargs": {"tokenize": False}}, "variables that the .* template reads, got 'tokenize'"),
        (CHATML, {"chat_template_kwargs": {"thinking": False}}, "variables that the .* template reads, got 'thinking'"),
        (CHATML, {"chat_template_kwargs": {"role": "x"}}, "variables that the .* template reads, got 'role'"),
        (CHATML, {"chat_template_kwargs": {"im_start": "x"}}, "variables that the .* template reads, got 'im_start'"),
        (CHATML, {"tools": [{"type": "function"}]}, "chat template reads no tools"),
        (None, {"continue_final_message": True}, "need a chat template, and the target's tokenizer has none"),
        (None, {"chat_template_kwargs": {"x": 1}}, "need a chat template, and the target's tokenizer has none"),
        ("{{ 1 + 'a' }}", {}, "does not suit the chat template of the target: TypeError"),
        ("{{ 1 // 0 }}", {}, "does not suit the chat template of the target: ZeroDivisionError"),
        ("{% for m in", {}, "does not suit the chat template of the target: TemplateSyntaxError"),
    ],
)
def test_what_a_template_cannot_render_is_one_clear_error(target, template, options, message):
    target = replace(target, tokenizer=byte_tokenizer(template))
    with pytest.raises(ValueError, match=message):
        target.request(Query(id="q", prompt="y"), rendering=Rendering(**options))


def test_a_text_that_begins_with_the_first_token_gets_no_second_one(target):
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<begin>"})
    begin = tokenizer.bos_token_id
    parts = processors.TemplateProcessing(single="<begin> $A", special_tokens=[("<begin>", begin)])
    tokenizer.backend_tokenizer.post_processor = parts
    target = replace(target, tokenizer=tokenizer)
    plain = target.request(Query(id="q", prompt="the cat")).token_ids
    assert plain[:2].count(begin) == 1
    assert target.request(Query(id="q", prompt="<begin>the cat")).token_ids == plain


def test_special_tokens_stop_a_text_and_are_not_shown(target):
    tokenizer = byte_tokenizer()
    plain = replace(target, tokenizer=tokenizer, eos_ids=()).generate(PROMPT)
    tokenizer = byte_tokenizer()
    # the text's third token gets a special one's place
    third = next(token for i, token in enumerate(plain.token_ids) if i >= 2 and token not in plain.token_ids[:i])
    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    letter = next(piece for piece, i in backend["model"]["vocab"].items() if i == third)
    backend["model"]["vocab"]["<|end|>"] = backend["model"]["vocab"].pop(letter)
    special = {"id": third, "content": "<|end|>", "special": True, "single_word": False}
    backend["added_tokens"].append(special | {"lstrip": False, "rstrip": False, "normalized": False})
    backend["added_tokens"].sort(key=lambda token: token["id"])
    special_tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(backend)))
    own = replace(target, tokenizer=special_tokenizer, eos_ids=())
    free = own.generate(PROMPT)
    n = free.token_ids.index(third)
    before = own.text(free.token_ids[:n])
    for stop in ("<|end|>", "|end|", before[-1] + "<|e"):
        for draft in (None, "prompt_lookup"):
            sampling = SamplingParams(stop=[stop])
            found = own.generate(PROMPT, sampling=sampling, draft=draft)
            assert (found.finished, found.token_ids) == ("stop", free.token_ids[: n + 1])
            assert found.text == (before if stop[0] in "<|" else before[:-1])
            assert "".join(own.stream(PROMPT, sampling=sampling, draft=draft)) == found.text


@pytest.mark.parametrize("begin", ["Sure:", "<<the answer goes on here>>", "a <<the answer goes on here>> b"])
def test_an_answer_goes_on_where_the_template_shows_its_beginning_once(target, begin):
    messages = [{"role": "user", "content": "y"}, {"role": "assistant", "content": begin}]
    query, goes_on = Query(id="q", messages=messages), Rendering(continue_final_message=True)
    once = replace(target, tokenizer=byte_tokenizer(CHATML))
    assert once.text(once.request(query, rendering=goes_on).token_ids).endswith(f"assistant\n{begin}")
    twice = replace(target, tokenizer=byte_tokenizer(CHATML + "{{ messages[-1].content }}"))
    with pytest.raises(ValueError, match="does not show the last message once"):
        twice.request(query, rendering=goes_on)
