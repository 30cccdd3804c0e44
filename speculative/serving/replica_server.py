"""A server that is one of several: it takes a number that is free, and tells the others where it listens."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace

import uvicorn
from fastapi import FastAPI

from bandits import Policy
from speculative.serving.listening import uvicorn_settings
from speculative.serving.replica import claim
from speculative.serving.server import ServerSettings, opened
from speculative.serving.settings import ServiceSettings
from speculative.serving.upstream_spec import UpstreamPoolSpec

LOGGER = logging.getLogger(__name__)


@asynccontextmanager
async def running_replica(
    pool: UpstreamPoolSpec,
    policy: Policy,
    settings: ServiceSettings,
    server: ServerSettings,
    environment: Mapping[str, str],
    node_address: str,
) -> AsyncIterator[FastAPI]:
    """Run a replica while the block is entered, and give its application, which listens on a port of its own too.

    Args:
        pool: the arms.
        policy: chooses; the same for all replicas.
        settings: of this replica alone.
        server: of this replica alone, but for the folder, which all share; its port is not used.
        environment: holds the values of the upstreams' headers.
        node_address: where others reach this machine, if the host stands for all of its addresses.

    Raises:
        ValueError: if the policy cannot be merged, or for what `serve` says.
    """
    replica, lock = claim(server.folder)
    with closing(lock):
        settings = replace(settings, id_prefix=replica.id_prefix)
        server = replace(server, port=0, pool_file=None, replica=replica)
        async with opened(pool, policy, settings, server, environment, LOGGER.info) as (app, sock):
            host, port = sock.getsockname()[:2]
            host = node_address if host in ("0.0.0.0", "::") else host
            replica.announce(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            listener = _Listener(uvicorn_settings(app))
            listening = asyncio.create_task(listener.serve(sockets=[sock]))
            try:
                yield app
            finally:
                listener.should_exit = True
                await listening


class _Listener(uvicorn.Server):
    """Leaves the signals to whoever runs the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield
