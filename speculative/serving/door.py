"""Who may ask a server, how often, and with how much."""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request
from starlette.requests import ClientDisconnect

from speculative.serving.problem import Problem
from speculative.serving.rate_limit import RateLimit

MOST_BODY_BYTES = 4 << 20


class Door:
    """Who is let in, how often, and with how much.

    Where no key is asked for, a page of another site could reach the server under a name of its own that it lets point
    here, and its origin would be that name too. So the server answers to addresses, localhost and its own name alone.

    Args:
        keys: one of them must come as a bearer token; none lets everybody in.
        host: the name or address that the server listens on.
        most_body_bytes: of a request.
        rate_limit: of completions, for each key, or for each client's address where there are no keys; None for none.
    """

    def __init__(
        self,
        keys: Sequence[str] = (),
        host: str = "127.0.0.1",
        most_body_bytes: int = MOST_BODY_BYTES,
        rate_limit: RateLimit | None = None,
    ) -> None:
        self._keys, self._host = keys, host.lower()
        self._most_body_bytes, self._rate_limit = most_body_bytes, rate_limit

    def check(self, request: Request) -> str:
        """Return what tells a caller from others, if it holds a key and is no page of another site.

        Raises:
            Problem: 403 for a page of another site, or a name that is not the server's; 401 without a key.
        """
        origin, host = request.headers.get("origin"), request.headers.get("host", "")
        if origin is not None and origin.partition("://")[2] != host:
            raise Problem(403, "requests from pages of other origins are refused")
        if not self._keys:
            if not _is_own(host, self._host):
                raise Problem(
                    403,
                    "without keys the host must be an address, localhost or the name given with --host, "
                    f"got {host!r:.100}: ask by the address, or start the server with --host NAME or --key-file",
                )
            return "" if request.client is None else request.client.host
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        given = token.strip().encode("latin-1", "replace")
        matches = [hmac.compare_digest(given, key.encode()) for key in self._keys]  # all, so that time tells nothing
        if scheme.lower() != "bearer" or not any(matches):
            raise Problem(401, "a key is needed: Authorization: Bearer KEY")
        return f"key {matches.index(True)}"

    def check_owner(self, request: Request) -> None:
        """Let in whoever may change how the server serves: with a key, or, where there are none, of this machine.

        Raises:
            Problem: see `check`; 403 for another machine where there are no keys.
        """
        caller = self.check(request)
        if not self._keys and not _is_loopback(caller):
            raise Problem(403, "without keys only this machine may do so: start the server with --key-file")

    def check_rate(self, caller: str) -> None:
        """Refuse a caller's request that comes too soon.

        Raises:
            Problem: 429, with when to ask again.
        """
        wait_s = 0.0 if self._rate_limit is None else self._rate_limit.wait_s(caller)
        if wait_s:
            raise Problem(429, f"too many requests: ask again in {wait_s:.1f} s", retry_after_s=math.ceil(wait_s))

    async def body(self, request: Request) -> bytes:
        """Read a body that is not too large.

        Raises:
            Problem: 413 for one that is; 400 where the client left before it had come.
        """
        said = request.headers.get("content-length", "0")
        too_large = Problem(413, f"the body must have at most {self._most_body_bytes:,} bytes")
        if said.isdigit() and int(said) > self._most_body_bytes:
            raise too_large
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._most_body_bytes:
                    raise too_large
        except ClientDisconnect as error:
            raise Problem(400, "the client left before its body had come") from error
        return bytes(body)


def _is_own(host: str, listened_on: str) -> bool:
    """Return whether a request's host, which may end in a port, is an address or one of the server's own names."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        if name not in ("localhost", listened_on):
            ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback
