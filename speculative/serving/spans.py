"""An OpenTelemetry span a request, for those who trace already; nothing is imported without being asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from arms.optional_import import optional_import
from speculative.serving.client import Client
from speculative.serving.problem import Problem

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer


class Spans:
    """Begins a span for each request, and ends it with arm, decision and status; texts are in none.

    Without an OpenTelemetry SDK in the process spans go nowhere; `opentelemetry-instrument` sets one up.

    Args:
        tracer: begins the spans; None for OpenTelemetry's of this process.

    Raises:
        ImportError: naming the extra, if opentelemetry-api is not installed.
    """

    def __init__(self, tracer: Tracer | None = None) -> None:
        self._trace = optional_import("opentelemetry.trace", "otel")
        self._propagate = optional_import("opentelemetry.propagate", "otel")
        self._tracer = tracer or self._trace.get_tracer("draftpick")

    @contextmanager
    def around(self, client: Client, name: str, headers: Iterable[tuple[bytes, bytes]]) -> Iterator[Client]:
        """Yield a client whose answer is in a span, a child of the caller's where the headers name one.

        Args:
            client: is answered.
            name: of the span.
            headers: of the request.
        """
        carrier = {key.decode("latin-1"): value.decode("latin-1") for key, value in headers}
        parent = self._propagate.extract(carrier)
        with self._tracer.start_as_current_span(name, parent, self._trace.SpanKind.SERVER) as span:
            yield _SpannedClient(client, span)


class _SpannedClient:
    """Passes an answer on, and notes in a span what it came to."""

    def __init__(self, client: Client, span: Span) -> None:
        self._client, self._span = client, span

    async def start(self, headers: Mapping[str, str]) -> None:
        """Begin an answer."""
        self._note(headers, 200)
        await self._client.start(headers)

    async def send(self, payload: bytes) -> None:
        """Send a payload of it."""
        await self._client.send(payload)

    async def end(self) -> None:
        """End it."""
        await self._client.end()

    async def break_off(self, problem: Problem) -> None:
        """End an answer that has begun and cannot be finished."""
        self._span.set_attribute("error.type", "broken off")
        await self._client.break_off(problem)

    async def refuse(self, status: int, payload: bytes, headers: Mapping[str, str]) -> None:
        """Answer with an error."""
        self._note(headers, status)
        self._span.set_attribute("error.type", str(status))
        await self._client.refuse(status, payload, headers)

    def _note(self, headers: Mapping[str, str], status: int) -> None:
        self._span.set_attribute("http.response.status_code", status)
        for header, attribute in (("x-draftpick-arm", "draftpick.arm"), ("x-draftpick-id", "draftpick.id")):
            if header in headers:
                self._span.set_attribute(attribute, headers[header])
