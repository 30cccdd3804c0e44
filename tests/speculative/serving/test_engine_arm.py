"""Requests join and leave one engine; every arm writes the target's own text, and what it cannot do is refused."""

import asyncio
import json
from contextlib import aclosing, contextmanager

import pytest

from speculative import Pool
from speculative.explaining.without_texts import HIDDEN, without_texts
from speculative.serving.completion_request import read_request
from speculative.serving.engine_arm import EngineArm
from speculative.serving.engine_worker import EngineWorker
from speculative.serving.problem import ArmFailure, ArmRefusal
from speculative.serving.seen import Seen
from tests.support.tiny_pool import ARMS, TEMPLATE, save_pool


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pool")
    return Pool.load(save_pool(folder, TEMPLATE), folder / "cache")


@contextmanager
def arms_of(pool, seen=None):
    worker = EngineWorker(pool)
    try:
        yield {name: EngineArm(name, worker, "draftpick", seen=seen) for name in pool.arms.names}
    finally:
        worker.stop()


def asked(endpoint="chat/completions", **fields):
    body = (
        {"messages": [{"role": "user", "content": "count: one two one"}]} if "chat" in endpoint else {"prompt": "abcab"}
    )
    return read_request(
        endpoint, json.dumps({**body, "temperature": 0, "max_tokens": 12, **fields}).encode(), "draftpick"
    )


async def payloads(arm, request):
    return [json.loads(payload) async for payload in arm.answer(request)]


def text_of(chunks):
    return "".join(one["delta"].get("content", "") for chunk in chunks for one in chunk["choices"])


def test_every_arm_streams_the_targets_own_text_while_all_run_together(pool):
    async def all_at_once(arms):
        streams = [payloads(arm, asked(stream=True)) for arm in arms.values() for _ in range(3)]
        return await asyncio.gather(*streams)

    with arms_of(pool) as arms:
        answers = asyncio.run(all_at_once(arms))
        [whole] = asyncio.run(payloads(arms["no_draft"], asked()))
    assert {text_of(chunks) for chunks in answers} == {whole["choices"][0]["message"]["content"]}
    for number, chunks in enumerate(answers):
        counts = chunks[-2]["metrics"]["speculative_decoding"]
        assert (counts["num_draft_tokens"] == 0) == (ARMS[number // 3] == "no_draft")
        assert (chunks[-1]["choices"], chunks[-1]["usage"]["completion_tokens"]) == ([], 12)
        assert (chunks[0]["choices"][0]["delta"]["role"], chunks[-2]["choices"][0]["finish_reason"]) == (
            "assistant",
            "length",
        )


def test_a_conversations_next_turn_is_not_read_from_its_beginning(pool):
    question = "count: one two one two"
    with arms_of(pool) as arms:
        first, again = (
            asyncio.run(payloads(arms["no_draft"], asked(messages=turns)))[0]
            for turns in (
                [{"role": "user", "content": question}],
                [{"role": "user", "content": question}],
            )
        )
        said = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": "x"},
            {"role": "user", "content": "?"},
        ]
        [later] = asyncio.run(payloads(arms["prompt_lookup_3"], asked(messages=said, max_tokens=2)))
    n = first["usage"]["prompt_tokens"]
    cached = [one["usage"]["prompt_tokens_details"]["cached_tokens"] for one in (first, again, later)]
    assert cached == [0, n - 1, n]
    assert again["choices"] == first["choices"]


def test_text_completions_and_stop_strings(pool):
    with arms_of(pool) as arms:
        [plain] = asyncio.run(payloads(arms["no_draft"], asked("completions")))
        text = plain["choices"][0]["text"]
        stop = text[4:6]
        [stopped] = asyncio.run(payloads(arms["prompt_lookup_3"], asked("completions", stop=[stop])))
    assert plain["object"] == "text_completion"
    assert (stopped["choices"][0]["text"], stopped["choices"][0]["finish_reason"]) == (text[: text.index(stop)], "stop")


def test_a_seed_gives_the_same_sampled_text_whichever_arm_helps(pool):
    with arms_of(pool) as arms:
        texts = [
            asyncio.run(payloads(arm, asked(temperature=0.9, seed=5)))[0]["choices"][0]["message"]["content"]
            for arm in arms.values()
        ]
    assert len(set(texts)) == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"top_p": 0}, "top_p"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, None),
        ({"max_tokens": 5000}, None),
    ],
)
def test_what_the_engine_cannot_do_is_refused_by_the_fields_name(pool, fields, field):
    with arms_of(pool) as arms, pytest.raises(ArmRefusal) as caught:
        asyncio.run(payloads(arms["no_draft"], asked(**fields)))
    assert caught.value.status == 400
    assert json.loads(caught.value.payload)["error"]["param"] == field


def test_fields_that_ask_for_nothing_are_taken(pool):
    with arms_of(pool) as arms:
        fields = {"n": 1, "logprobs": False, "tools": [], "response_format": {"type": "text"}, "top_p": None}
        assert len(asyncio.run(payloads(arms["no_draft"], asked(**fields)))) == 1


def test_a_request_that_nobody_waits_for_leaves_the_engine_to_the_others(pool):
    async def leave_one(arms):
        async with aclosing(arms["no_draft"].answer(asked(stream=True, max_tokens=100))) as chunks:
            await anext(chunks)
        return await payloads(arms["no_draft"], asked())

    with arms_of(pool) as arms:
        [whole] = asyncio.run(leave_one(arms))
    assert whole["usage"]["completion_tokens"] == 12


def test_an_engine_that_fails_is_a_failure_of_each_arm_that_runs_and_goes_on(pool, monkeypatch):
    forward = type(pool.target.model).forward
    with arms_of(pool) as arms:
        monkeypatch.setattr(type(pool.target.model), "forward", lambda *_: (_ for _ in ()).throw(MemoryError("full")))
        with pytest.raises(ArmFailure, match="MemoryError: full") as caught:
            asyncio.run(payloads(arms["no_draft"], asked()))
        assert caught.value.kind == "MemoryError"
        monkeypatch.setattr(type(pool.target.model), "forward", forward)
        assert len(asyncio.run(payloads(arms["no_draft"], asked()))) == 1


def test_an_answer_is_kept_token_by_token_only_while_somebody_looks_and_is_the_same_text(pool):
    seen = Seen()
    with arms_of(pool, seen) as arms:
        [unseen] = asyncio.run(payloads(arms["prompt_lookup_3"], asked()))
        assert not seen.answers
        seen.watched()
        [watched] = asyncio.run(payloads(arms["prompt_lookup_3"], asked()))
    assert watched["choices"] == unseen["choices"]
    [explain] = seen.answers
    answer = explain()
    assert answer.text == watched["choices"][0]["message"]["content"]
    hidden = without_texts(answer)
    assert (hidden.prompt, set(hidden.text.split())) == ("", {HIDDEN.strip()})
    assert [len(one.pieces) for one in hidden.rounds] == [len(one.pieces) for one in answer.rounds]
