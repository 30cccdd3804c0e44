"""A service as a process: probe the upstreams, open the log, serve, learn, and leave everything in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import FastAPI
from uvicorn.loops.auto import auto_loop_factory

from bandits import Agent, ContextEncoder, DecisionLog, Learner, Policy, checks
from bandits.online import PooledLearner
from rewards import Reward
from speculative.serving.app import make_app
from speculative.serving.door import Door
from speculative.serving.health_checks import HealthChecks
from speculative.serving.learning import LearningThread
from speculative.serving.listening import BACKLOG, OrderlyServer, bound_socket, on_hangup, uvicorn_settings
from speculative.serving.loop_first import loop_first
from speculative.serving.metrics import Metrics
from speculative.serving.rate_limit import RateLimit
from speculative.serving.reloading import PoolSource, Reloading
from speculative.serving.replica import LEARNER, Replica
from speculative.serving.request_columns import (
    ColumnedEncoder,
    ColumnGroup,
    RequestColumns,
    lasting_order,
    served_groups,
)
from speculative.serving.reward_scale import reward_of
from speculative.serving.seen import Seen
from speculative.serving.served_arms import OWN_MODEL, ArmSources, arm_names
from speculative.serving.service import Service
from speculative.serving.settings import ServiceSettings
from speculative.serving.spans import Spans
from speculative.serving.stage_keeper import StageKeeper
from speculative.serving.startup_probe import check_probed
from speculative.serving.upstream_spec import UpstreamPoolSpec

if TYPE_CHECKING:
    from speculative.measuring.cost_profile import CostProfile
    from speculative.pools.pool import Pool  # it needs torch, upstreams do not
    from speculative.protocols.selector import Selector
    from speculative.serving.look_back import LookBack

ARM_ORDER = "arms.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSettings:
    """Where a server listens, and where it keeps what it learns.

    Attributes:
        folder: of the log, the learner's checkpoint and what the rewards are measured by; made if it is missing.
        host: to listen on; the default lets this machine in only.
        port: 0 for any that is free.
        keys: one of them must come with each request; none lets everybody in.
        requests_per_minute: of each key, or of each client's address where there are no keys; None for any number.
        burst: how many of them may come at once.
        columns: groups of what contexts hold beside the text; None for those that the policy learned from, or, for one
            that has learned nothing, all but the time of day.
        slowest: seconds a token that count as the worst reward; None for 4 times what the probe takes at the incumbent.
            It is kept in the folder, since rewards of two scales cannot be learned from together.
        sync_every: see `DecisionLog`; a killed process loses nothing at any value.
        allow_unproven: serve arms whose body fields were found to be ignored.
        spans: begin an OpenTelemetry span for each completion; needs the extra `otel`.
        seed: of all draws.
        relearn: where the folder holds a policy of another class or with other settings or hindsight, learn its log
            from the beginning.
        hindsight: by which the look-ups of a pool of one's own are replayed on each answer, so that they are learned
            from all of them (see `LookBack`); None to learn from rewards alone.
        new_arm_rows: rows of the other arms that an arm which joined the pool starts with the mean of; 0: no data.
        selectors: further arms of a pool of one's own, by name, each of which chooses among the pool's at every round.
        replica: which of several servers this is, where all of them share `folder`; None for the only one.
        pool_file: where the pool was read, to be read again on SIGHUP and when it is asked for; None for never.

    Raises:
        ValueError: if a number is out of range.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    keys: Sequence[str] = ()
    requests_per_minute: float | None = None
    burst: int = 10
    columns: Sequence[ColumnGroup] | None = None
    slowest: float | None = None
    sync_every: int = 0
    allow_unproven: bool = False
    spans: bool = False
    seed: int = 0
    relearn: bool = False
    new_arm_rows: float = 0.0
    hindsight: CostProfile | None = None
    selectors: Mapping[str, Selector] = field(default_factory=dict)
    replica: Replica | None = None
    pool_file: Path | None = None

    def __post_init__(self) -> None:
        if checks.at_least(self.port, 0, "port") >= 2**16:
            raise ValueError(f"port must be in [0, 65535], got {self.port}")
        for name in ("requests_per_minute", "slowest"):
            if getattr(self, name) is not None:
                checks.positive(getattr(self, name), name)
        checks.at_least(self.burst, 1, "burst")
        checks.at_least(self.sync_every, 0, "sync_every")
        checks.at_least(self.seed, 0, "seed")
        checks.not_negative(self.new_arm_rows, "new_arm_rows")

    @property
    def own_folder(self) -> Path:
        """Where the log is, and the learner's checkpoint: nobody else writes there."""
        return self.folder if self.replica is None else self.replica.folder

    @property
    def own_seed(self) -> int:
        """Seed of this server's draws."""
        return self.seed if self.replica is None else self.replica.seed(self.seed)

    def rate_limit(self) -> RateLimit | None:
        """Return a new limit as the settings say, if they say one."""
        return None if self.requests_per_minute is None else RateLimit(self.requests_per_minute, self.burst)


def serve(
    pool: UpstreamPoolSpec | Pool,
    policy: Policy,
    settings: ServiceSettings,
    server: ServerSettings,
    environment: Mapping[str, str],
    say: Callable[[str], None] = print,
) -> None:
    """Serve until the process is told to end (SIGINT or SIGTERM).

    Args:
        pool: the arms: upstreams, or the drafts of a loaded pool, which one engine of this process runs.
        policy: chooses; one that has learned nothing yet starts with the pool's arms.
        settings: who decides, and where rewards come from.
        server: where it listens and keeps its state.
        environment: holds the values of the upstreams' headers.
        say: is told what the probe found, and the address.

    Raises:
        ValueError: if an environment variable is missing, no arm answers, body fields are ignored, the pool's encoder
            needs the target, or the folder holds rewards of another kind.
        OSError: if the address is taken.
        FolderInUseError: if another server uses the folder.
    """

    async def run() -> None:
        async with opened(pool, policy, settings, server, environment, say) as (app, sock):
            await OrderlyServer(uvicorn_settings(app)).serve(sockets=[sock])

    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:  # uvloop's where it is installed
        runner.run(run())


@asynccontextmanager
async def opened(
    pool: UpstreamPoolSpec | Pool,
    policy: Policy,
    settings: ServiceSettings,
    server: ServerSettings,
    environment: Mapping[str, str],
    say: Callable[[str], None],
) -> AsyncIterator[tuple[FastAPI, socket.socket]]:
    """Give the application of a service that has probed its arms and learned its log, and the socket it listens on.

    Args and errors are those of `serve`. What was opened is closed when the block is left.
    """
    names = arm_names(pool, server.selectors)
    check_settings(names, settings, server)
    texts = pool.encoder.build() if isinstance(pool, UpstreamPoolSpec) else _text_encoder(pool)
    groups = served_groups(server.columns, None if policy.state is None else policy.learned.encoder)
    encoder = ColumnedEncoder(texts, groups) if groups else texts
    if policy.state is None:
        policy.start(names, encoder.n_features, encoder.name)
    async with AsyncExitStack() as stack:
        spans = Spans() if server.spans else None
        sock = stack.enter_context(bound_socket(server.host, server.port))
        log = stack.enter_context(DecisionLog(server.own_folder / "log", sync_every=server.sync_every))
        stack.enter_context(loop_first())
        learner = stack.enter_context(closing(_learner(policy, server, _replayed_arms(pool, settings, server))))
        _keep_arms(learner, names, server.new_arm_rows, say)
        sources = _sources(environment, settings, server)
        arms, found, source = await sources.opened(pool, stack)
        say("\n".join(map(str, found)))
        check_probed(found, server.allow_unproven)
        reward = reward_of(server.folder, settings, server.slowest, found)
        agent = Agent(learner.policy, encoder, log, reward=reward, seed=server.own_seed)
        order = lasting_order(server.folder / ARM_ORDER, names)
        service = Service(arms, agent, settings, sources.metrics, sources.seen, RequestColumns(order, groups))
        service.look_back = _look_back(pool, server, reward)
        learning = LearningThread(service, learner, StageKeeper(service))
        learning.catch_up()
        stack.push_async_callback(service.close)
        stack.callback(learning.stop)
        learning.start()
        await stack.enter_async_context(HealthChecks(service).running())
        reloading = _reloading(source, learning, service, server)
        if reloading is not None:
            stack.enter_context(on_hangup(reloading.hangup))
        sock.listen(BACKLOG)
        model = pool.model if isinstance(pool, UpstreamPoolSpec) else OWN_MODEL
        host, port = sock.getsockname()[:2]
        say(f"serving {model} ({service.stage}) on http://{host}:{port}, seen at /draftpick")
        door = Door(server.keys, server.host, rate_limit=server.rate_limit())
        app = make_app(service, door, model=model, spans=spans, reloading=reloading, replica=server.replica)
        yield app, sock


def check_settings(names: Sequence[str], settings: ServiceSettings, server: ServerSettings) -> None:
    """Reject settings that do not agree with the arms, or with each other.

    Raises:
        ValueError: if they do not.
    """
    if settings.incumbent not in names:
        raise ValueError(f"incumbent must be one of the arms {', '.join(names)}, got {settings.incumbent!r}")
    if server.slowest is not None and settings.rewards == "caller":
        raise ValueError(
            f"slowest is the scale of rewards 'own', got {server.slowest:g} and rewards 'caller': leave it out"
        )


def _learner(policy: Policy, server: ServerSettings, hindsight: Sequence[str]) -> Learner | PooledLearner:
    log, own = server.own_folder / "log", server.own_folder / LEARNER
    if server.replica is None:
        return Learner(policy, log, own, hindsight=hindsight, relearn=server.relearn)
    return PooledLearner(policy, log, own, server.replica.other_learners, relearn=server.relearn)


def _replayed_arms(pool: UpstreamPoolSpec | Pool, settings: ServiceSettings, server: ServerSettings) -> tuple[str, ...]:
    """Return the arms that hindsight tells of; none where it is not asked for."""
    if server.hindsight is None:
        return ()
    if isinstance(pool, UpstreamPoolSpec) or settings.rewards != "own":
        raise ValueError("hindsight needs a pool with a target of its own, whose tokens are known, and rewards 'own'")
    from speculative.collection.look_ups import replayable_arms

    return tuple(arm.name for arm in replayable_arms(pool.arms))


def _look_back(pool: UpstreamPoolSpec | Pool, server: ServerSettings, reward: Reward) -> LookBack | None:
    if server.hindsight is None or isinstance(pool, UpstreamPoolSpec):
        return None
    from speculative.serving.look_back import LookBack

    return LookBack(list(pool.arms), server.hindsight, reward)


def _sources(environment: Mapping[str, str], settings: ServiceSettings, server: ServerSettings) -> ArmSources:
    return ArmSources(
        environment,
        server.selectors,
        Seen(settings.show_texts),
        Metrics(),
        allow_unproven=server.allow_unproven,
        hindsight=server.hindsight is not None,
    )


def _reloading(
    source: PoolSource, learning: LearningThread, service: Service, server: ServerSettings
) -> Reloading | None:
    if server.pool_file is None:
        return None
    order = server.folder / ARM_ORDER
    return Reloading(server.pool_file, source, learning, service, order, new_arm_rows=server.new_arm_rows)


def _keep_arms(
    learner: Learner | PooledLearner, names: Sequence[str], new_arm_rows: float, say: Callable[[str], None]
) -> None:
    """Let the policy choose among a pool's arms, and say which ones it did not know, or knows no more."""
    before = learner.policy.arm_names
    learner.keep_arms(names, new_arm_rows=new_arm_rows)
    for what, these, those in (("joins", names, before), ("leaves", before, names)):
        for name in these:
            if name not in those:
                say(f"arm {name} {what}")


def _text_encoder(pool: Pool) -> ContextEncoder:
    """Return a pool's encoder, which must do with a text: the choice comes before the target has read the prompt."""
    from speculative.targets.hidden_state_encoder import HiddenStateEncoder

    if isinstance(pool.encoder, HiddenStateEncoder):
        raise ValueError(
            "the pool's encoder must read texts alone to serve, such as hashing or sentence, got hidden_state"
        )
    return pool.encoder
