"""An arm that is a server elsewhere: one request is passed on, its answer streamed back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Self

import httpx2

from speculative.serving.completion_request import CompletionRequest
from speculative.serving.problem import ArmFailure, ArmRefusal
from speculative.serving.server_sent_events import DONE, read_events
from speculative.serving.upstream_spec import UpstreamSpec

MOST_EVENT_BYTES = 4 << 20
MOST_ANSWER_BYTES = 64 << 20
_END_S = 0.2  # from [DONE] to the end of the stream
_OF_THE_ARM = (401, 403, 404, 408, 409, 425, 429)  # statuses below 500 that say nothing of the request itself


class Upstream:
    """Passes requests on to one server and yields what it answers, none of it later than its time-outs allow.

    Args:
        spec: of the arm.
        environment: where the values of its headers are.

    Raises:
        ValueError: if an environment variable that a header needs is missing.
    """

    def __init__(self, spec: UpstreamSpec, environment: Mapping[str, str]) -> None:
        self.name, self.spec = spec.name, spec
        self._client = httpx2.AsyncClient(
            headers={
                **spec.read_headers(environment),
                "Content-Type": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=httpx2.Timeout(None, connect=spec.connect_s),  # the others are kept here
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=256),
            trust_env=False,  # no proxies and keys but those of the pool file
        )

    async def answer(self, request: CompletionRequest, *, with_body: bool = True) -> AsyncGenerator[bytes, None]:
        """Yield the answer's payloads: the chunks of a stream in order, or the whole answer as one.

        Args:
            request: is passed on with the arm's model and, unless `with_body` is False, its body fields.
            with_body: False for the probe that finds out whether they act.

        Raises:
            ArmRefusal: if the server says that the request is wrong.
            ArmFailure: if it cannot be reached, is too slow, fails, or its stream ends too early.
        """
        try:
            async for payload in self._payloads(request, with_body):
                yield payload
        except (httpx2.HTTPError, httpx2.StreamError, ValueError) as error:
            raise ArmFailure(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from error

    async def _payloads(self, request: CompletionRequest, with_body: bool) -> AsyncIterator[bytes]:
        body = {**request.body, **(self.spec.body if with_body else {})}
        if self.spec.model is not None:
            body["model"] = self.spec.model
        if request.stream and self.spec.asks_for_usage:
            body["stream_options"] = {**_options(request.body), "include_usage": True}
        sent = self._client.build_request(
            "POST", f"{self.spec.url}/v1/{request.endpoint}", content=json.dumps(body).encode()
        )
        response = await self._opened(sent)
        try:
            chunks = self._timed(response)
            await _check_status(response, chunks)
            if not request.stream:
                yield await _whole(chunks)
                return
            async for data in read_events(chunks, MOST_EVENT_BYTES):
                if data == DONE:
                    await _read_out(chunks)
                    return
                yield data
            raise ArmFailure("the stream ended before [DONE]")
        finally:
            await response.aclose()

    async def _opened(self, sent: httpx2.Request) -> httpx2.Response:
        try:
            async with asyncio.timeout(self.spec.first_byte_s):
                return await self._client.send(sent, stream=True)
        except TimeoutError as error:
            raise ArmFailure(f"no answer within {self.spec.first_byte_s:g} s") from error

    async def _timed(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield the chunks of a response; none may take too long."""
        chunks, longest = response.aiter_raw(), self.spec.first_byte_s
        while True:
            try:
                async with asyncio.timeout(longest):
                    chunk = await anext(chunks, None)
            except TimeoutError as error:
                raise ArmFailure(f"silent for {longest:g} s") from error
            if chunk is None:
                return
            yield chunk
            longest = self.spec.between_bytes_s

    async def close(self) -> None:
        """Close its connections."""
        await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _options(body: Mapping[str, object]) -> Mapping[str, object]:
    options = body.get("stream_options")
    return options if isinstance(options, Mapping) else {}


async def _check_status(response: httpx2.Response, chunks: AsyncIterator[bytes]) -> None:
    status = response.status_code
    if status == 200:
        return
    if 400 <= status < 500 and status not in _OF_THE_ARM:
        raise ArmRefusal(status, await _whole(chunks))
    raise ArmFailure(f"status {status}")


async def _read_out(chunks: AsyncIterator[bytes]) -> None:
    """Read a stream to its end, so that its connection can be used again; one that does not end at once is closed."""
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_S):
            async for _ in chunks:
                pass


async def _whole(chunks: AsyncIterator[bytes]) -> bytes:
    parts, size = [], 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > MOST_ANSWER_BYTES:
            raise ArmFailure(f"the answer has more than {MOST_ANSWER_BYTES:,} bytes")
    return b"".join(parts)
