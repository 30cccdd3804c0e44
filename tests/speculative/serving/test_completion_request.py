"""A request is read once: what an encoder sees, and the limits that its fields set."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from speculative.serving.completion_request import MOST_TEXT, NO_TEXT, read_request
from speculative.serving.problem import Problem


def read(endpoint="chat/completions", **body):
    return read_request(endpoint, json.dumps(body).encode(), "draftpick")


def test_the_text_is_what_all_messages_say_and_nothing_of_images():
    parts = [{"type": "text", "text": "what is this?"}, {"type": "image_url", "image_url": {"url": "http://x"}}]
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": parts}, {"role": "assistant"}]
    assert read(messages=messages).text == "be brief\nwhat is this?"
    assert read(messages=[{"role": "user", "content": [parts[1]]}]).text == NO_TEXT


def test_of_a_long_text_the_end_is_read():
    text = "old " * 50_000 + "new"
    assert read(messages=[{"role": "user", "content": text}]).text == text[-MOST_TEXT:]
    assert read("completions", prompt="x" + " " * MOST_TEXT).text == NO_TEXT


def test_prompts_are_texts_lists_of_texts_or_token_ids():
    assert read("completions", prompt="one").text == "one"
    assert read("completions", prompt=["one", "two"]).text == "one\ntwo"
    assert read("completions", prompt=[1, 2, 3]).text == NO_TEXT


@pytest.mark.parametrize(
    ("fields", "most"),
    [({}, None), ({"max_tokens": 5}, 5), ({"max_completion_tokens": 6}, 6), ({"max_tokens": 5, "n": 3}, 15)],
)
def test_the_most_tokens_are_those_of_all_answers(fields, most):
    assert read("completions", prompt="x", **fields).max_tokens == most


@pytest.mark.parametrize(
    ("metadata", "domain"), [({"domain": "code", "user": "7"}, "code"), ({"user": "7"}, None), ({}, None), (None, None)]
)
def test_a_client_may_name_the_domain_in_its_metadata(metadata, domain):
    asked = read("completions", prompt="x", metadata=metadata)
    assert (asked.domain, asked.body["metadata"]) == (domain, metadata)


@pytest.mark.parametrize("domain", ["", 7, "x" * 65, "two\nlines", "\ud800", ["code"]])
def test_a_domain_is_a_short_label(domain):
    with pytest.raises(Problem, match=r"metadata\.domain must be a label of 1 to 64 printable characters") as caught:
        read("completions", prompt="x", metadata={"domain": domain})
    assert (caught.value.status, caught.value.field) == (400, "metadata.domain")


def test_unknown_fields_are_kept_for_the_engine():
    assert read("completions", prompt="x", min_p=0.1).body["min_p"] == 0.1


def test_an_error_names_the_innermost_field():
    with pytest.raises(Problem) as caught:
        read("completions", prompt="x", stream=True, stream_options={"include_usage": "perhaps"})
    assert caught.value.field == "stream_options.include_usage"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = ("messages", "prompt", "model", "stream", "stream_options", "n", "max_tokens", "seed", "stop", "temperature")


@pytest.mark.parametrize("endpoint", ["chat/completions", "completions"])
@settings(max_examples=30)
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6).map(json.dumps).map(str.encode) | st.binary())
def test_whatever_is_sent_is_a_request_or_one_problem(endpoint, body):
    try:
        status = 200 if read_request(endpoint, body, "draftpick").text else None
    except Problem as problem:
        status = problem.status
    assert status in (200, 400, 404)
