"""What a real OpenAI client asks of a stream it gets unharmed, or is told by name what the engine cannot do."""

from contextlib import ExitStack

import openai
import pytest
from serving_bench.scripted_upstream import Script

from speculative import Pool
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_worker import EngineWorker
from tests.support.front_door import CHAT, LIVE, front_door, records, wait_for
from tests.support.tiny_pool import TEMPLATE, save_pool


def client_of(door):
    return openai.OpenAI(base_url=f"{door.url}/v1", api_key="none", max_retries=0)


def chunk(delta, index=0, **more):
    return {"id": "up", "object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta, **more}]}


def call(arguments, **more):
    return chunk({"tool_calls": [{"index": 0, "function": {"arguments": arguments}, **more}]})


@pytest.fixture(scope="module")
def scripted(tmp_path_factory):
    with front_door(tmp_path_factory.mktemp("scripted"), {"a": Script()}, LIVE) as door, client_of(door) as client:
        yield door, client


def asked(scripted, chunks=(), **fields):
    """A stream's chunks, and what the upstream was asked."""
    door, client = scripted
    door.scripts["a"].chunks = chunks
    found = list(client.chat.completions.create(**CHAT, stream=True, **fields))
    return found, door.scripts["a"].asked[-1][0]


def test_a_tool_call_that_comes_in_pieces_is_passed_on_as_it_came(scripted):
    first = {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]}
    chunks = [chunk(first), call('{"city": "K'), call('\u00f6ln"}'), chunk({}, finish_reason="tool_calls")]
    tools = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    found, body = asked(scripted, chunks, tools=tools, tool_choice="auto")
    pieces = [one.choices[0].delta.tool_calls[0].function.arguments for one in found[:-1]]
    assert pieces == ["", '{"city": "K', '\u00f6ln"}']
    assert (found[0].choices[0].delta.tool_calls[0].id, found[-1].choices[0].finish_reason) == ("c1", "tool_calls")
    assert (body["tools"], body["tool_choice"]) == (tools, "auto")


def test_several_choices_and_their_log_probabilities_are_passed_on(scripted):
    said = {"content": [{"token": "x", "logprob": -0.5, "top_logprobs": []}]}
    chunks = [chunk({"content": text}, index, logprobs=said) for text, index in (("a", 0), ("b", 1))]
    found, body = asked(scripted, chunks, n=2, logprobs=True, top_logprobs=1)
    assert [(one.choices[0].index, one.choices[0].delta.content) for one in found] == [(0, "a"), (1, "b")]
    assert found[1].choices[0].logprobs.content[0].logprob == -0.5
    assert (body["n"], body["logprobs"], body["top_logprobs"]) == (2, True, 1)


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_usage_comes_last_and_only_if_asked_for_and_either_limit_is_passed_on(scripted, field):
    plain, body = asked(scripted, **{field: 3})
    counted, _ = asked(scripted, stream_options={"include_usage": True}, **{field: 3})
    assert body[field] == 3
    assert all(one.usage is None and one.choices for one in plain)
    assert [(one.choices, one.usage is None) for one in counted].count(([], False)) == 1
    assert (counted[-1].choices, len(counted)) == ([], len(plain) + 1)


def test_a_client_that_closes_its_stream_stops_the_upstream(tmp_path):
    script = Script(n_tokens=10_000, token_s=0.002)
    with front_door(tmp_path, {"a": script}, LIVE) as door, client_of(door) as client:
        with client.chat.completions.create(**CHAT, stream=True) as stream:
            next(stream)
        wait_for(lambda: script.n_left)
        assert len(records(door, "rewarded")) == 1


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    pool = Pool.load(save_pool(folder, TEMPLATE), folder / "cache")
    with ExitStack() as stack:
        worker = EngineWorker(pool)
        stack.callback(worker.stop)
        own = [EngineArm(name, worker, "draftpick") for name in pool.arms.names[:2]]
        door = stack.enter_context(front_door(folder / "state", {}, own=own))
        yield door, stack.enter_context(client_of(door))


def test_ones_own_engine_streams_and_ends_with_usage_only_if_asked_for(engine):
    _, client = engine
    whole = client.chat.completions.create(**CHAT, max_tokens=8, temperature=0)
    plain, counted = (
        list(client.chat.completions.create(**CHAT, max_completion_tokens=8, temperature=0, stream=True, **more))
        for more in ({}, {"stream_options": {"include_usage": True}})
    )
    assert all(one.usage is None and one.choices for one in plain)
    assert (counted[-1].choices, counted[-1].usage.completion_tokens) == ([], 8)
    for chunks in (plain, counted):
        text = "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)
        assert text == whole.choices[0].message.content


@pytest.mark.parametrize(
    ("field", "value"), [("n", 2), ("logprobs", True), ("tools", [{"type": "function", "function": {"name": "f"}}])]
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_ones_own_engine_cannot_do_is_a_bad_request_with_the_fields_name(engine, field, value, stream):
    door, client = engine
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(**CHAT, stream=stream, **{field: value})
    assert caught.value.param == field
    assert {one["reason"] for one in records(door, "dropped")} == {"refused with status 400"}


def test_a_client_that_closes_its_stream_leaves_the_engine_to_others(engine):
    door, client = engine
    n_before = len(records(door, "rewarded"))
    with client.chat.completions.create(**CHAT, max_tokens=100, stream=True) as stream:
        next(stream)
    wait_for(lambda: len(records(door, "rewarded")) > n_before)
    assert records(door, "rewarded")[-1]["observation"]["n_tokens"] < 100
