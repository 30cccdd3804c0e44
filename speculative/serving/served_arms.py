"""The arms that a server has: upstreams, or drafts of an engine of its own, and choices among these at every round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from speculative.serving.metrics import Metrics
from speculative.serving.reloading import PoolSource
from speculative.serving.seen import Seen
from speculative.serving.served_arm import ServedArm
from speculative.serving.startup_probe import Probed, probe, probe_arm
from speculative.serving.upstream import Upstream
from speculative.serving.upstream_source import UpstreamSource
from speculative.serving.upstream_spec import UpstreamPoolSpec

if TYPE_CHECKING:
    from speculative.pools.pool import Pool  # it needs torch, upstreams do not
    from speculative.protocols.selector import Selector

OWN_MODEL = "draftpick"
"""What clients ask for where the engine is one's own."""


@dataclass(frozen=True, slots=True)
class ArmSources:
    """What arms are made of.

    Attributes:
        environment: holds the values of the upstreams' headers.
        selectors: of an engine of one's own, the arms that choose among the pool's at every round, by name.
        seen: gets the answers of an engine of one's own that can be looked at.
        metrics: are told of the choices at every round.
        allow_unproven: whether body fields of upstreams may be ignored.
        hindsight: whether look-ups of an engine of one's own are replayed on every answer.
    """

    environment: Mapping[str, str]
    selectors: Mapping[str, Selector]
    seen: Seen
    metrics: Metrics
    allow_unproven: bool = False
    hindsight: bool = False

    async def opened(
        self, pool: UpstreamPoolSpec | Pool, stack: AsyncExitStack
    ) -> tuple[Sequence[ServedArm], list[Probed], PoolSource]:
        """Return a pool's arms, which the stack closes, what a probe found of them, and where others come from.

        Raises:
            ValueError: if an environment variable that a header needs is missing.
        """
        if isinstance(pool, UpstreamPoolSpec):
            upstreams = [await stack.enter_async_context(Upstream(spec, self.environment)) for spec in pool.arms]
            return upstreams, await probe(upstreams), UpstreamSource(pool, self.environment, self.allow_unproven)
        from speculative.serving.engine_arm import EngineArm
        from speculative.serving.engine_source import EngineSource
        from speculative.serving.engine_worker import EngineWorker

        worker = EngineWorker(pool)
        stack.callback(worker.stop)

        def new_arm(name: str) -> EngineArm:
            return EngineArm(name, worker, OWN_MODEL, seen=self.seen)

        own = [new_arm(name) for name in pool.arms.names]
        own += [
            EngineArm(name, worker, OWN_MODEL, selector=selector, seen=self.seen, metrics=self.metrics)
            for name, selector in self.selectors.items()
        ]
        source = EngineSource(pool, worker, new_arm, selectors=self.selectors, hindsight=self.hindsight)
        return own, [await probe_arm(arm) for arm in own], source


def arm_names(pool: UpstreamPoolSpec | Pool, selectors: Mapping[str, Selector]) -> tuple[str, ...]:
    """Return the arms that a policy chooses among: the pool's, then the choices at every round.

    Raises:
        ValueError: if such a choice has the name of an arm, or the pool has no drafts to choose among.
    """
    if isinstance(pool, UpstreamPoolSpec):
        if selectors:
            raise ValueError(
                f"{next(iter(selectors))!r} chooses at every round, which needs a pool with a target of its own: an "
                "upstream's rounds are its own"
            )
        return pool.arm_names
    for name in selectors:
        if name in pool.arms.names:
            raise ValueError(f"arm {name!r} of the pool has the name of a choice at every round: rename the arm")
    return (*pool.arms.names, *selectors)
