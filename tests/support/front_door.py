"""A front door on a port of this machine, in a thread of the test's own process, over scripted upstreams."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from serving_bench.scripted_upstream import Script, ScriptedUpstream

from bandits import Agent, DecisionLog, EpsilonGreedy, HashingEncoder, Learner, LinUCB, Policy
from bandits.online.segments import read_records
from rewards import Reward, SecondsPerToken
from speculative.serving.app import make_app
from speculative.serving.door import Door
from speculative.serving.health_checks import HealthChecks
from speculative.serving.learning import LearningThread
from speculative.serving.listening import uvicorn_settings
from speculative.serving.metrics import Metrics
from speculative.serving.rate_limit import RateLimit
from speculative.serving.reloading import Reloading
from speculative.serving.request_columns import ColumnedEncoder, ColumnGroup, RequestColumns
from speculative.serving.served_arm import ServedArm
from speculative.serving.service import Service
from speculative.serving.settings import CallerReward, ServiceSettings
from speculative.serving.stage_keeper import StageKeeper
from speculative.serving.upstream import Upstream
from speculative.serving.upstream_source import UpstreamSource
from speculative.serving.upstream_spec import UpstreamPoolSpec, UpstreamSpec, read_upstream_pool

N_FEATURES = 8
NO_TLS = False
"""Certificates take longer to read than most requests take to answer, and all of them go to http://127.0.0.1."""
ENVIRONMENT = {"UPSTREAM_KEY": "Bearer a-secret-of-the-upstream"}
LIVE = ServiceSettings("a", stage="live", exploration=0.0, most_failures=2, open_s=60.0)
CHAT = {"model": "draftpick", "messages": [{"role": "user", "content": "say hello"}]}


def upstream_spec(name: str, url: str, **settings: object) -> UpstreamSpec:
    return UpstreamSpec.model_validate({"kind": "upstream", "name": name, "url": url, **settings})


def write_pool(file: Path, specs: Sequence[UpstreamSpec]) -> UpstreamPoolSpec:
    """Write a pool file of upstreams, and return what it says."""
    lines = ["[encoder]", 'kind = "hashing"', f"n_features = {N_FEATURES}"]
    for spec in specs:
        lines += ["[[arms]]", *(f"{key} = {json.dumps(value)}" for key, value in _written(spec).items())]
    file.write_text("\n".join(lines))
    return read_upstream_pool(file)


def _written(spec: UpstreamSpec) -> dict[str, object]:
    return {key: value for key, value in spec.model_dump(exclude_defaults=True).items() if not isinstance(value, dict)}


def new_policy(arm_names: Sequence[str]) -> Policy:
    return EpsilonGreedy(LinUCB(arm_names=arm_names), epsilon=0.5)


class FrontDoor:
    """What a test asks of a running front door: its address, its parts, and what its log holds."""

    def __init__(
        self, service: Service, scripts: Mapping[str, Script], folder: Path, port: int, learner: Learner | None = None
    ) -> None:
        self.service, self.scripts, self.folder, self.learner = service, scripts, folder, learner
        self.pool_file = folder / "pool.toml"
        self.url = f"http://127.0.0.1:{port}"

    def post(self, path: str, **options: object) -> httpx2.Response:
        return httpx2.post(f"{self.url}{path}", trust_env=False, verify=NO_TLS, timeout=20, **options)  # type: ignore[arg-type]

    def get(self, path: str, **options: object) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", trust_env=False, verify=NO_TLS, timeout=20, **options)  # type: ignore[arg-type]

    def chat(self, **changes: object) -> httpx2.Response:
        return self.post("/v1/chat/completions", json={**CHAT, **changes})

    def settle(self) -> None:
        """Wait until everything that was handed to the log's thread is written."""
        done = threading.Event()
        self.service.after_writing(done.set)
        assert done.wait(10)


@contextmanager
def front_door(
    folder: Path,
    scripts: Mapping[str, Script],
    settings: ServiceSettings | None = None,
    *,
    keys: Sequence[str] = (),
    first: Mapping[str, object] | None = None,
    learn: bool = False,
    rate_limit: RateLimit | None = None,
    own: Sequence[ServedArm] = (),
    groups: Sequence[ColumnGroup] = (),
    metrics: Metrics | None = None,
) -> Iterator[FrontDoor]:
    """Run one; the settings let every arm be chosen alike unless others are given.

    `first` is of the first arm; `own` are arms beside the scripted ones; with `learn` its arms change with
    its pool file; `groups` are the columns beside the text;
    `metrics` are what the arms count in too.
    """
    names = (*scripts, *(arm.name for arm in own))
    settings = settings or ServiceSettings(names[0], exploration=1.0, share=0.0)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(ScriptedUpstream(script)) for name, script in scripts.items()}
        log = stack.enter_context(DecisionLog(folder / "log", sync_every=0))
        specs = [
            upstream_spec(name, server.url, **(first or {} if name == names[0] else {}))
            for name, server in servers.items()
        ]
        upstreams = [Upstream(spec, ENVIRONMENT) for spec in specs]
        measured = settings.rewards == "own"
        reward: Reward = SecondsPerToken(1.0) if measured else CallerReward(settings.default_reward)
        texts = HashingEncoder(N_FEATURES)
        agent = Agent(new_policy(names), ColumnedEncoder(texts, groups) if groups else texts, log, reward=reward)
        service = Service([*upstreams, *own], agent, settings, metrics, columns=RequestColumns(names, groups))
        learning = learner = reloading = None
        if learn:
            learner = stack.enter_context(closing(Learner(new_policy(names), log.folder, folder / "learner")))
            learning = LearningThread(service, learner, StageKeeper(service))
            learning.start()
            pool = write_pool(folder / "pool.toml", specs)
            source = UpstreamSource(pool, ENVIRONMENT)
            reloading = Reloading(folder / "pool.toml", source, learning, service, folder / "arms.json")
        sock = socket.create_server(("127.0.0.1", 0))
        app = make_app(service, Door(keys, most_body_bytes=100_000, rate_limit=rate_limit), reloading=reloading)
        server = uvicorn.Server(uvicorn_settings(app, grace_s=2))

        async def run() -> None:
            async with HealthChecks(service).running():
                await server.serve(sockets=[sock])
            await service.close()
            for upstream in upstreams:
                await upstream.close()

        thread = threading.Thread(target=lambda: asyncio.run(run()))
        thread.start()
        try:
            yield FrontDoor(service, scripts, folder, sock.getsockname()[1], learner)
        finally:
            server.should_exit = True
            thread.join()
            if learning is not None:
                learning.stop()


def records(door: FrontDoor, kind: str) -> list[Any]:
    """The log's records of a kind, once all that was handed to its thread is written."""
    door.settle()
    return [placed.record for placed in read_records(door.folder / "log") if placed.record["kind"] == kind]


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.005)


def events(response: httpx2.Response) -> list[str]:
    """The data of a stream's events."""
    return [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
