"""An arm that is a server elsewhere: one request is passed on, its answer streamed back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Self

from speculative.serving.completion_request import CompletionRequest
from speculative.serving.http_client import HttpClient
from speculative.serving.http_connection import HttpConnection
from speculative.serving.problem import ArmFailure, ArmRefusal
from speculative.serving.queue_length import queue_length
from speculative.serving.server_sent_events import DONE, EventReader
from speculative.serving.upstream_spec import UpstreamSpec

MOST_EVENT_BYTES = 4 << 20
MOST_ANSWER_BYTES = 64 << 20
_END_S = 0.2  # from [DONE] to the end of the stream, whose connection can be used again then
_OF_THE_ARM = (401, 403, 404, 408, 409, 425, 429)  # statuses below 500 that say nothing of the request itself


class Upstream:
    """Passes requests on to one server and yields what it answers, none of it later than its time-outs allow.

    Args:
        spec: of the arm.
        environment: where the values of its headers are.

    Attributes:
        n_waiting: requests in its queue, of all its clients, as the last health check found; 0 where it does not tell.
        takes_metadata: whether requests are passed on with their `metadata`; the start-up probe finds out whether the
            server refuses them.

    Raises:
        ValueError: if an environment variable that a header needs is missing.
    """

    def __init__(self, spec: UpstreamSpec, environment: Mapping[str, str]) -> None:
        self.name, self.spec = spec.name, spec
        self.n_waiting, self._has_metrics = 0, True
        self.takes_metadata = True
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        self._client = HttpClient(spec.url, {**headers, **spec.read_headers(environment)}, spec.connect_s)

    async def answer(self, request: CompletionRequest, *, with_body: bool = True) -> AsyncGenerator[bytes, None]:
        """Yield the answer's payloads: the chunks of a stream in order, or the whole answer as one.

        Args:
            request: is passed on with the arm's model and, unless `with_body` is False, its body fields.
            with_body: False for the probe that finds out whether they act.

        Raises:
            ArmRefusal: if the server says that the request is wrong.
            ArmFailure: if it cannot be reached, is too slow, fails, or its stream ends too early.
        """
        body = self._body(request, with_body)
        async with self._client.asked(f"/v1/{request.endpoint}", body, self.spec.first_byte_s) as connection:
            await self._check_status(connection)
            if not request.stream:
                yield await self._whole(connection)
                return
            reader, longest = EventReader(MOST_EVENT_BYTES), self.spec.first_byte_s
            while True:
                chunk = await connection.read(longest)
                for data in reader.read(chunk) if chunk else reader.end():
                    if data == DONE:
                        connection.pass_over(_END_S)
                        return
                    yield data
                if not chunk:
                    raise ArmFailure("the stream ended before [DONE]")
                longest = self.spec.between_bytes_s

    async def check_health(self) -> None:
        """Return if the server is up, and read how long its queue is where its `/metrics` tell.

        A server that answers and knows no such path is up. One without metrics is not asked for them again before it
        was down.

        Raises:
            ArmFailure: if it cannot be reached, is too slow, or says that it is not ready.
        """
        try:
            status, _ = await self._got(self.spec.health_path)
            if status >= 500 and status != 501:  # not implemented
                raise ArmFailure(f"status {status} of {self.spec.health_path}")
        except ArmFailure:
            self.n_waiting, self._has_metrics = 0, True
            raise
        if self._has_metrics:
            status, page = await self._got("/metrics")
            self._has_metrics = status == 200
            self.n_waiting = queue_length(page) if self._has_metrics else 0

    async def _got(self, path: str) -> tuple[int, bytes]:
        within_s = self.spec.connect_s
        try:
            async with asyncio.timeout(within_s), self._client.asked(path, None, within_s) as answer:
                return answer.status, await self._whole(answer)
        except TimeoutError as error:
            raise ArmFailure(f"no whole answer of {path} within {within_s:g} s") from error

    def _body(self, request: CompletionRequest, with_body: bool) -> bytes:
        body = {**request.body, **(self.spec.body if with_body else {})}
        if not self.takes_metadata:
            body.pop("metadata", None)
        if self.spec.model is not None:
            body["model"] = self.spec.model
        if request.stream and self.spec.asks_for_usage:
            body["stream_options"] = {**_options(request.body), "include_usage": True}
        return json.dumps(body).encode()

    async def _check_status(self, connection: HttpConnection) -> None:
        status = connection.status
        if status == 200:
            return
        if 400 <= status < 500 and status not in _OF_THE_ARM:
            raise ArmRefusal(status, await self._whole(connection))
        raise ArmFailure(f"status {status}")

    async def _whole(self, connection: HttpConnection) -> bytes:
        parts, size, longest = [], 0, self.spec.first_byte_s
        while chunk := await connection.read(longest):
            longest = self.spec.between_bytes_s
            parts.append(chunk)
            size += len(chunk)
            if size > MOST_ANSWER_BYTES:
                raise ArmFailure(f"the answer has more than {MOST_ANSWER_BYTES:,} bytes")
        return b"".join(parts)

    async def close(self) -> None:
        """Close its connections."""
        self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _options(body: Mapping[str, object]) -> Mapping[str, object]:
    options = body.get("stream_options")
    return options if isinstance(options, Mapping) else {}
