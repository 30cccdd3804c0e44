"""Time is from the request to the last payload, without what the client takes; tokens are counted if none are told."""

import json

import pytest

from speculative.serving.answer_watch import AnswerWatch
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.problem import ArmFailure


def asked(stream=True, include_usage=False, max_tokens=None):
    return CompletionRequest("chat/completions", {}, "x", stream, include_usage, max_tokens)


def chunk(**fields):
    return json.dumps({"choices": [{"delta": {"content": "a"}}], **fields}).encode()


def test_seconds_leave_out_what_the_client_takes():
    now = [5.0]
    watch = AnswerWatch(asked(), clock=lambda: now[0])
    now[0] += 1.0
    watch.take(chunk())
    now[0] += 10.0
    watch.client_has_read()
    now[0] += 0.5
    watch.take(chunk())
    now[0] += 7.0
    observation = watch.observation("a", "q")
    assert (watch.first_s, observation.seconds, observation.n_tokens, observation.text) == (1.0, 1.5, 2, "")


def test_tokens_are_the_usages_else_the_engines_else_the_chunks():
    watch = AnswerWatch(asked())
    watch.take(chunk())
    assert watch.n_tokens == 1
    watch.take(chunk(timings={"predicted_n": 7}))
    assert watch.n_tokens == 7
    watch.take(chunk(usage={"completion_tokens": 9}))
    assert watch.n_tokens == 9


def test_usage_that_nobody_asked_for_is_taken_out_and_the_rest_stays():
    watch = AnswerWatch(asked())
    assert watch.take(b'{"choices": [], "usage": {"completion_tokens": 3}}') is None
    passed = json.loads(watch.take(chunk(usage={"completion_tokens": 3}, id="é")) or b"")
    assert passed == {"choices": [{"delta": {"content": "a"}}], "id": "é"}
    untouched = chunk(usage=None, tool_calls=[{"function": {"arguments": '{"x'}}])
    assert watch.take(untouched) == untouched


@pytest.mark.parametrize("usage", [{}, [], *({"completion_tokens": count} for count in (-1, True, 10**9 + 1, 10**400))])
def test_a_usage_without_a_count_that_can_be_is_passed_over(usage):
    watch = AnswerWatch(asked())
    watch.take(chunk(usage=usage))
    assert watch.n_tokens == 1


def test_more_tokens_than_the_client_allowed_are_believed_of_nobody():
    watch = AnswerWatch(asked(max_tokens=5))
    watch.take(chunk(usage={"completion_tokens": 6}, timings={"predicted_n": 6}))
    assert watch.n_tokens == 1
    watch.take(chunk(timings={"predicted_n": 5}))
    assert watch.n_tokens == 5


def test_a_failure_and_an_answer_that_its_client_left_have_taken_the_silence_before_too():
    now = [0.0]
    watch = AnswerWatch(asked(), clock=lambda: now[0])
    watch.take(chunk())
    now[0] = 2.0
    watch.client_has_read()
    now[0] = 62.0
    assert watch.observation("a", "q", "silent for 60 s").seconds == 60.0
    assert watch.observation("a", "q").seconds == 0.0
    watch.left()
    assert watch.observation("a", "q").seconds == 60.0


def test_half_a_character_of_an_engine_is_passed_on_where_its_usage_is_taken_out():
    said = b'{"choices": [{"delta": {"content": "\\ud83d"}}], "usage": {"completion_tokens": 1}}'
    assert json.loads(AnswerWatch(asked()).take(said) or b"")["choices"][0]["delta"]["content"] == "\ud83d"


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b'"x"', b"{}", b'{"error": "out of memory"}', b"[" * 10_000])
def test_what_is_no_answer_is_a_failure(payload):
    with pytest.raises(ArmFailure):
        AnswerWatch(asked()).take(payload)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("no memory for 'a secret'", "reported an error"),
        (
            {"message": "a secret", "type": "server_error", "code": 500},
            "reported an error (type server_error, code 500)",
        ),
        ({"message": "a secret", "type": "a secret", "code": None}, "reported an error"),
        ({"message": "a secret", "type": {"a": "secret"}, "code": "s" * 41}, "reported an error"),
        (["a secret"], "reported an error"),
    ],
)
def test_of_an_error_the_kind_is_kept_and_its_message_is_the_clients(error, kind):
    with pytest.raises(ArmFailure, match="a secret") as caught:
        AnswerWatch(asked()).take(json.dumps({"error": error}).encode())
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    ("usage", "prompt"),
    [
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, (9, 4)),
        ({"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 10}}, None),
        ({"prompt_tokens": 9, "prompt_tokens_details": None}, None),
        ({"prompt_tokens": -1, "prompt_tokens_details": {"cached_tokens": 0}}, None),
        ({"completion_tokens": 3}, None),
        ([], None),
    ],
)
def test_what_of_a_prompt_was_kept_is_told_where_the_engine_says_what_can_be(usage, prompt):
    watch = AnswerWatch(asked())
    watch.take(chunk(usage=usage))
    assert watch.prompt == prompt
