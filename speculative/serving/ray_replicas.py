"""A front door of several replicas, which Ray Serve runs: on this machine, or on a cluster."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing, contextmanager
from dataclasses import replace
from types import ModuleType

from fastapi import FastAPI

from arms.checks import at_least
from arms.optional_import import optional_import
from bandits import Policy
from bandits.policies import merge
from speculative.serving.listening import bound_socket
from speculative.serving.replica import Replica
from speculative.serving.replica_server import running_replica
from speculative.serving.request_columns import lasting_order
from speculative.serving.reward_scale import reward_of
from speculative.serving.server import ARM_ORDER, ServerSettings, check_settings
from speculative.serving.settings import ServiceSettings
from speculative.serving.startup_probe import check_probed, probe
from speculative.serving.upstream import Upstream
from speculative.serving.upstream_spec import UpstreamPoolSpec

_APPLICATION = "draftpick"
_MOST_AT_ONCE = 1024  # requests of one replica; Ray lets 5 in, and a stream takes long
_STARTS = 3  # of a replica that fails, before Ray gives up
_END_S = 15.0  # for a replica's requests, and for what it has still to write


def serve_replicas(
    pool: UpstreamPoolSpec,
    policy: Policy,
    settings: ServiceSettings,
    server: ServerSettings,
    n_replicas: int,
    say: Callable[[str], None] = print,
) -> None:
    """Serve with several processes, which Ray runs, until this one is told to end (SIGINT or SIGTERM).

    Each replica has a log and a learner of its own in a folder below the server's, and serves what all of them have
    learned (see `PooledLearner`). A reward may come at any: it is handed on to the one that made the decision. One that
    dies is started again by Ray, and goes on with the folder that it left. The cluster is the one that this machine is
    part of, else one is started here, for as long as this runs. Every node needs draftpick, the environment variables
    of the upstreams' headers, and the server's folder, at the same path.

    What is to hold for all replicas together is divided among them: the probability that a change of stage is wrong,
    the seconds that may be lost, the requests a minute.

    Args:
        pool: the arms.
        policy: see `serve`; what it learns is a sum over rows.
        settings: see `serve`; each replica goes through the stages by its own log.
        server: see `serve`. The port is Ray Serve's; each replica also listens on one of its own, for its page and its
            metrics.
        n_replicas: >= 1.
        say: is told what the probe found, and the addresses.

    Raises:
        ImportError: if Ray is not installed.
        ValueError: if the policy cannot be merged, or for what `serve` says.
        OSError: if the address is taken.
        RuntimeError: if the replicas do not start.
    """
    at_least(n_replicas, 1, "n_replicas")
    check_settings(pool.arm_names, settings, server)
    _check_mergeable(policy, pool, server)
    ray, ray_serve = optional_import("ray", "ray"), optional_import("ray.serve", "ray")
    asyncio.run(_prepared(pool, settings, server, say))
    settings, server = _shares(settings, server, n_replicas)
    with _cluster(ray, n_replicas) as is_own:
        if is_own:
            with closing(bound_socket(server.host, server.port)) as free:
                server = replace(server, port=free.getsockname()[1])
        ray_serve.start(http_options={"host": server.host, "port": server.port})
        try:
            front_door = ray_serve.deployment(
                name="front_door",
                num_replicas=n_replicas,
                max_ongoing_requests=_MOST_AT_ONCE,
                max_constructor_retry_count=_STARTS,
                graceful_shutdown_timeout_s=_END_S,
                ray_actor_options={"num_cpus": 1},
            )(ray_serve.ingress()(FrontDoorReplica))
            ray_serve.run(front_door.bind(pool, policy, settings, server), name=_APPLICATION, route_prefix="/")
            say(f"serving {pool.model} with {n_replicas} replicas on http://{server.host}:{server.port}")
            for number in range(n_replicas):
                say(f"replica {number}: {Replica(server.folder, number).url()}, seen at /draftpick")
            _wait_for_the_end()
        finally:
            if is_own:
                ray_serve.shutdown()
            else:
                ray_serve.delete(_APPLICATION)


class FrontDoorReplica:
    """One replica: Ray makes an actor of it, and hands requests to the application that it builds.

    Args:
        pool: the arms.
        policy: chooses; the same for all.
        settings: of this replica alone.
        server: of this replica alone, but for the folder, which all share.
    """

    async def __init__(  # type: ignore[misc]  # Ray awaits it
        self, pool: UpstreamPoolSpec, policy: Policy, settings: ServiceSettings, server: ServerSettings
    ) -> None:
        node_address = optional_import("ray.util", "ray").get_node_ip_address()
        self._running = running_replica(pool, policy, settings, server, os.environ, node_address)
        self._app = await self._running.__aenter__()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the application, for Ray Serve."""
        return self._app

    async def __del__(self) -> None:
        """Leave everything in order; Ray waits for it."""
        await self._running.__aexit__(None, None, None)


def _check_mergeable(policy: Policy, pool: UpstreamPoolSpec, server: ServerSettings) -> None:
    if server.new_arm_rows:
        raise ValueError(f"new_arm_rows must be 0 with replicas, got {server.new_arm_rows:g}: leave it out")
    begun = policy
    if policy.state is None:
        begun = policy.clone()
        begun.start(pool.arm_names, 1)
    merge([begun])


async def _prepared(
    pool: UpstreamPoolSpec, settings: ServiceSettings, server: ServerSettings, say: Callable[[str], None]
) -> None:
    """Probe the upstreams, and settle what the replicas must have in common: the scale of rewards, the arms' order."""
    async with AsyncExitStack() as stack:
        upstreams = [await stack.enter_async_context(Upstream(spec, os.environ)) for spec in pool.arms]
        found = await probe(upstreams)
    for one in found:
        say(str(one))
    check_probed(found, server.allow_unproven)
    server.folder.mkdir(parents=True, exist_ok=True)
    reward_of(server.folder, settings, server.slowest, found)
    lasting_order(server.folder / ARM_ORDER, pool.arm_names)


def _shares(settings: ServiceSettings, server: ServerSettings, n: int) -> tuple[ServiceSettings, ServerSettings]:
    """Return the settings of one of n replicas."""
    seconds, requests = settings.conservative, server.requests_per_minute
    return (
        replace(settings, level=settings.level / n, conservative=None if seconds is None else seconds / n),
        replace(server, requests_per_minute=None if requests is None else requests / n),
    )


@contextmanager
def _cluster(ray: ModuleType, n_replicas: int) -> Iterator[bool]:
    """Connect to the cluster that this machine is part of, or start one; give whether it was started here."""
    if ray.is_initialized():
        yield False
        return
    try:
        ray.init(address="auto", log_to_driver=False)
        is_own = False
    except ConnectionError:
        ray.init(address="local", num_cpus=n_replicas, include_dashboard=False, log_to_driver=False)
        is_own = True
    try:
        yield is_own
    finally:
        ray.shutdown()


def _wait_for_the_end() -> None:
    done = threading.Event()
    before = {number: signal.signal(number, lambda *_: done.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        done.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
