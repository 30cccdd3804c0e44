"""A span a request tells its arm, decision and status, and belongs to the caller's trace."""

import asyncio
from contextlib import contextmanager

from opentelemetry.trace import SpanKind, get_current_span

from speculative.serving.problem import Problem
from speculative.serving.spans import Spans

TRACE = 0x4BF92F3577B34DA6A3CE929D0E0E4736
HEADERS = [(b"traceparent", b"00-%032x-00f067aa0ba902b7-01" % TRACE), (b"x", b"\xff")]


class Recorder:
    """Is tracer, span and client at once: it keeps what it is told."""

    def __init__(self):
        self.noted, self.sent, self.begun, self.n_ended = {}, [], [], 0

    @contextmanager
    def start_as_current_span(self, name, parent, kind):
        self.begun.append((name, get_current_span(parent).get_span_context().trace_id, kind))
        try:
            yield self
        finally:
            self.n_ended += 1

    def set_attribute(self, name, value):
        self.noted[name] = value

    async def start(self, headers):
        self.sent.append("start")

    async def send(self, payload):
        self.sent.append(payload)

    async def end(self):
        self.sent.append("end")

    async def break_off(self, problem):
        self.sent.append("broken off")

    async def refuse(self, status, payload, headers):
        self.sent.append(status)


def told(answer, headers=()):
    recorder = Recorder()
    with Spans(recorder).around(recorder, "completions", headers) as client:
        asyncio.run(answer(client))
    return recorder


async def whole(client):
    await client.start({"x-draftpick-arm": "ngram", "x-draftpick-id": "dp-1"})
    await client.send(b"hello")
    await client.end()


async def broken(client):
    await client.start({"x-draftpick-arm": "ngram", "x-draftpick-id": "dp-1"})
    await client.break_off(Problem(502, "gone"))


async def refused(client):
    await client.refuse(429, b"later", {})


def test_an_answer_is_passed_on_and_its_span_is_a_child_of_the_callers():
    recorder = told(whole, HEADERS)
    assert recorder.begun == [("completions", TRACE, SpanKind.SERVER)]
    assert recorder.sent == ["start", b"hello", "end"]
    assert recorder.noted == {"http.response.status_code": 200, "draftpick.arm": "ngram", "draftpick.id": "dp-1"}
    assert recorder.n_ended == 1


def test_what_fails_is_told():
    assert told(broken).noted["error.type"] == "broken off"
    assert told(refused).noted == {"http.response.status_code": 429, "error.type": "429"}


def test_without_an_sdk_spans_go_nowhere():
    recorder = Recorder()
    with Spans().around(recorder, "completions", HEADERS) as client:
        asyncio.run(whole(client))
    assert recorder.sent == ["start", b"hello", "end"]
