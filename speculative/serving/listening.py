"""How a server listens: its socket, what uvicorn is told, and an orderly end."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from fastapi import FastAPI

BACKLOG = 2048
_GRACE_S = 10


def uvicorn_settings(app: FastAPI, grace_s: int = _GRACE_S) -> uvicorn.Config:
    """Return how an application is served: a client's address is its connection's, whatever its headers say.

    Args:
        app: is served.
        grace_s: for requests under way when it is to end.
    """
    return uvicorn.Config(
        app,
        log_level="warning",
        backlog=BACKLOG,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # else a client of this machine could name any address, and evade the rate limit
        lifespan="off",
        timeout_graceful_shutdown=grace_s,
    )


class OrderlyServer(uvicorn.Server):
    """Ends in order on SIGINT and SIGTERM; uvicorn's own lets them kill the process before the log is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle both until the block is left."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def on_hangup(call: Callable[[], object]) -> Iterator[None]:
    """Have SIGHUP call something in the running event loop until the block is left, where signals can come to it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, call)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def bound_socket(host: str, port: int) -> socket.socket:
    """Return a socket that has an address; its connections send each small piece at once.

    It does not listen yet: while the log is learned a client is told that nobody serves, and does not wait.

    asyncio sees to the pieces only for sockets whose protocol number is set, which is 0 here. A client would get its
    first token when it has acknowledged the headers, 40 ms later.

    Args:
        host: name or address.
        port: 0 for any that is free.

    Raises:
        OSError: if the address is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
