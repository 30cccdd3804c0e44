"""Asking one HTTP server, over connections that are used again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from speculative.serving.http_connection import HttpConnection
from speculative.serving.problem import ArmFailure

MOST_IDLE = 256  # connections kept


class HttpClient:
    """Asks one server; no proxies, no redirects, no keys but those it is given.

    Args:
        url: where the server is, with http:// or https://, whose certificate is checked.
        headers: of each request, ASCII.
        connect_s: longest time to connect.
    """

    def __init__(self, url: str, headers: Mapping[str, str], connect_s: float) -> None:
        parts = urlsplit(url)
        self._host, self._path, self._connect_s = parts.hostname or "", parts.path, connect_s
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (80 if self._tls is None else 443)
        lines = {"host": parts.netloc, "user-agent": "draftpick", **headers}
        self._head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._idle: list[HttpConnection] = []
        self._ending: set[HttpConnection] = set()
        self._is_closed = False

    @asynccontextmanager
    async def asked(self, path: str, body: bytes | None, within_s: float) -> AsyncIterator[HttpConnection]:
        """Post a body, or get what has none, and give the connection once the answer's status is there.

        A connection whose answer was neither read to its end nor passed over is closed, which tells the server that
        nobody waits.

        Args:
            path: below the server's url.
            body: JSON; None to get.
            within_s: longest time to the status.

        Raises:
            ArmFailure: if the server cannot be reached, is too slow, or answers what is no HTTP.
        """
        method, length = ("GET", "") if body is None else ("POST", f"content-length: {len(body)}\r\n")
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._head}{length}\r\n"
        connection = await self._answering(head.encode("ascii") + (body or b""), within_s)
        try:
            yield connection
        finally:
            self._ending.add(connection)
            connection.give_back(self._take_back)

    def close(self) -> None:
        """Close the connections that are not in use, and the others once their answers have ended."""
        self._is_closed = True
        for connection in (*self._idle, *self._ending):
            connection.close()
        self._idle.clear()

    def _take_back(self, connection: HttpConnection) -> None:
        self._ending.discard(connection)
        if connection.is_reusable and len(self._idle) < MOST_IDLE and not self._is_closed:
            self._idle.append(connection)
        else:
            connection.close()

    async def _answering(self, request: bytes, within_s: float) -> HttpConnection:
        """Return a connection on which the answer has begun; one that was closed while idle is none."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_closed:
                continue
            try:
                return await self._sent(connection, request, within_s)
            except ArmFailure:
                if connection.has_begun or not connection.is_lost:
                    raise
        return await self._sent(await self._connected(), request, within_s)

    async def _sent(self, connection: HttpConnection, request: bytes, within_s: float) -> HttpConnection:
        connection.send(request)
        try:
            await connection.wait_for_head(within_s)
        except BaseException:
            connection.close()
            raise
        return connection

    async def _connected(self) -> HttpConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_s):
                _, connection = await loop.create_connection(HttpConnection, self._host, self._port, ssl=self._tls)
        except TimeoutError as error:
            raise ArmFailure(f"no connection within {self._connect_s:g} s") from error
        except (OSError, UnicodeError) as error:
            raise ArmFailure(f"no connection: {error}") from error
        return connection
