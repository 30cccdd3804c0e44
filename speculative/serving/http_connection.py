"""One connection to an HTTP server: a request is written, its answer read as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import httptools

from speculative.serving.problem import ArmFailure

MOST_HEAD_BYTES = 64 << 10
_FULL_BYTES = 256 << 10  # not yet read: then the server is told to wait


class HttpConnection(asyncio.Protocol):
    """Reads answers to requests that are sent one after another; httptools, which is Node's parser, takes them apart.

    Attributes:
        status: of the answer; 0 before its head has come.
        has_begun: whether a byte of the answer has come.
        is_closed: whether no further request may be sent, whoever closed it.
        is_lost: whether it was found to be closed by the server, or broken.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._within_s, self._deadline, self._late = 0.0, float("inf"), ""
        self._rings_at = float("inf")
        self.is_closed = self.is_lost = False
        self._begin()

    @property
    def is_reusable(self) -> bool:
        """Whether the answer has ended as it should and the server may write, so that a request may be sent."""
        return self._is_kept and not self.is_closed and not self._is_paused

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status, self.has_begun = 0, False
        self._n_head, self._ends_with_connection = 0, True
        self._parts: list[bytes] = []
        self._n_unread, self._is_paused = 0, False
        self._has_ended = self._is_kept = False
        self._passes_over_s = 0.0
        self._take_back: Callable[[HttpConnection], None] | None = None
        self._failure: str | None = None

    def send(self, request: bytes) -> None:
        """Send a request, head and body, where none is under way."""
        self._begin()
        self._transport.write(request)

    async def wait_for_head(self, within_s: float) -> None:
        """Return once the answer's status is known.

        Raises:
            ArmFailure: if that takes longer, the connection breaks, or what comes is no HTTP.
        """
        self._wait_at_most(within_s, "no answer within")
        while not self.status:
            await self._more()

    async def read(self, within_s: float) -> bytes:
        """Return what has come of the body, at least one byte; nothing at its end.

        Raises:
            ArmFailure: as `wait_for_head`.
        """
        if not self._parts and not self._has_ended:
            self._wait_at_most(within_s, "silent for")
            while not self._parts and not self._has_ended:
                await self._more()
        body = b"".join(self._parts)
        self._parts.clear()
        self._n_unread = 0
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return body

    def pass_over(self, within_s: float) -> None:
        """Read no more of the answer: nothing but its end is still to come, within this time."""
        self._passes_over_s = within_s

    def give_back(self, take: Callable[[HttpConnection], None]) -> None:
        """Have `take` called with this connection: at once, or as soon as an answer that is passed over has ended.

        It is called as well where that takes too long; the connection then is not reusable.
        """
        if not self._passes_over_s or self._has_ended or self.is_closed:
            take(self)
            return
        self._take_back = take
        self._disarm()
        self._timer = self._loop.call_later(self._passes_over_s, self._give_back)

    def close(self) -> None:
        """Break off; called twice it does nothing."""
        self.is_closed = True
        self._disarm()
        self._transport.abort()

    def _wait_at_most(self, within_s: float, late: str) -> None:
        """Set how long is waited from now, and what is said where that is too long."""
        self._within_s, self._late = within_s, late
        self._deadline = self._loop.time() + within_s
        if self._timer is None or self._rings_at > self._deadline:
            self._disarm()
            self._arm()

    def _due(self) -> None:
        """Fail whoever waits for too long; a timer that was set for an earlier piece is set anew."""
        self._timer = None
        if self._waiter is None or self._waiter.done():  # nobody waits, or something has come just now
            return
        if self._loop.time() < self._deadline:
            self._arm()
        else:
            self._fail(f"{self._late} {self._within_s:g} s")

    def _give_back(self) -> None:
        take, self._take_back = self._take_back, None
        if take is not None:
            self._disarm()
            take(self)

    def _arm(self) -> None:
        self._rings_at = self._deadline  # a timer of uvloop for less than half a millisecond cannot say when
        self._timer = self._loop.call_at(self._deadline, self._due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _more(self) -> None:
        """Return once something has come."""
        if self._failure is not None:
            raise ArmFailure(self._failure)
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        finally:
            self._waiter = None
        if self._failure is not None and not self._parts:
            raise ArmFailure(self._failure)

    def _fail(self, why: str) -> None:
        self._failure = self._failure or why
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Give what has come to the parser."""
        self.has_begun = True
        if not self.status:
            self._n_head += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(f"answered what is no HTTP: {error}")
            self.close()
            return
        if not self.status and self._n_head > MOST_HEAD_BYTES:
            self._fail(f"the answer's head has more than {MOST_HEAD_BYTES:,} bytes")
            self.close()
        elif self._n_unread > _FULL_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nothing more will come."""
        self.is_closed = self.is_lost = True
        if self.status and self._ends_with_connection and error is None:
            self._has_ended = True
        elif not self._has_ended:
            self._fail("the connection broke" if error is None else f"the connection broke: {error}")
        self._disarm()
        self._wake()
        self._give_back()

    def on_message_begin(self) -> None:
        """Refuse an answer that nobody asked for."""
        if self._has_ended:  # more than was asked for: what follows cannot be told apart
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note whether the body says itself where it ends."""
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._ends_with_connection = False

    def on_headers_complete(self) -> None:
        """Note the status."""
        status = self._parser.get_status_code()
        if status >= 200:  # others announce the real answer
            self.status = status
        else:
            self._ends_with_connection = True

    def on_body(self, body: bytes) -> None:
        """Keep a piece of the body, if it is to be read."""
        if not self._has_ended and not self._passes_over_s:
            self._parts.append(body)
            self._n_unread += len(body)

    def on_message_complete(self) -> None:
        """Note the end, and whether the server keeps the connection."""
        if self.status:
            self._has_ended, self._is_kept = True, self._parser.should_keep_alive()
            self._give_back()
