"""A client of the front door: HTTP answers, streams of server-sent events, and the notice that it has left."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from speculative.serving.client import Client
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.problem import Problem
from speculative.serving.server_sent_events import DONE, event
from speculative.serving.service import Service
from speculative.serving.spans import Spans


class AsgiClient:
    """Sends an answer over one connection.

    Args:
        send: of the connection.
        stream: whether payloads are sent as events, as they come.
    """

    def __init__(self, send: Send, stream: bool) -> None:
        self._send, self._stream = send, stream

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin an answer."""
        kind = "text/event-stream; charset=utf-8" if self._stream else "application/json"
        more = {"cache-control": "no-cache", "x-accel-buffering": "no"} if self._stream else {}
        await self._head(200, {"content-type": kind, **more, **headers})

    async def send(self, payload: bytes) -> None:
        """Send a payload."""
        await self._body(event(payload) if self._stream else payload)

    async def end(self) -> None:
        """End the answer."""
        await self._body(event(DONE) if self._stream else b"", more=False)

    async def break_off(self, problem: Problem) -> None:
        """End a stream with an error, and without [DONE], so that nobody takes it for whole."""
        await self._body(event(problem.payload()), more=False)

    async def refuse(self, status: int, payload: bytes, headers: Mapping[str, str]) -> None:
        """Answer with an error."""
        await self._head(status, {"content-type": "application/json", **headers})
        await self._body(payload, more=False)

    async def _head(self, status: int, headers: Mapping[str, str]) -> None:
        pairs = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _body(self, body: bytes, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


class ServedResponse(Response):
    """The answer of a service to one request; a client that leaves stops it at once.

    Args:
        service: answers.
        request: what is asked.
        spans: begin one for it; None for none.
    """

    def __init__(self, service: Service, request: CompletionRequest, spans: Spans | None = None) -> None:
        self._service, self._request, self._spans = service, request, spans
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or stop answering once the client has left."""
        client = AsgiClient(send, self._request.stream)
        if self._spans is None:
            await self._answer(client, receive)
            return
        with self._spans.around(client, self._request.endpoint, scope["headers"]) as spanned:
            await self._answer(spanned, receive)

    async def _answer(self, client: Client, receive: Receive) -> None:
        answering = asyncio.ensure_future(self._service.answer(self._request, client))
        leaving = asyncio.ensure_future(_until_gone(receive))
        try:
            await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not answering.done():
                answering.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
