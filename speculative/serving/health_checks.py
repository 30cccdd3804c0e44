"""Asking upstreams how they are while they serve, so that no request has to find out that one is down."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from weakref import WeakKeyDictionary

from speculative.serving.problem import ArmFailure
from speculative.serving.service import Service
from speculative.serving.upstream import Upstream

LOGGER = logging.getLogger(__name__)
_TICK_S = 0.1  # between looks at whose turn it is


class HealthChecks:
    """Asks each upstream of a service in turn, as often as its arm says, and masks those that do not answer.

    Arms that join a service while it runs are asked from then on. One that is down is masked by its circuit breaker,
    until it answers again.

    Args:
        service: whose arms are asked.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._next_at: WeakKeyDictionary[Upstream, float] = WeakKeyDictionary()  # those that leave are forgotten

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ask until this is left."""
        asking = asyncio.create_task(self._run())
        try:
            yield
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as asking:
            while True:
                now = time.monotonic()
                for arm in list(self._service.arms.values()):
                    if isinstance(arm, Upstream) and arm.spec.health_path and self._next_at.get(arm, 0.0) <= now:
                        self._next_at[arm] = float("inf")  # not again before it has answered
                        asking.create_task(self._ask(arm))
                await asyncio.sleep(_TICK_S)

    async def _ask(self, arm: Upstream) -> None:
        try:
            await arm.check_health()
            failure = None
        except Exception as error:  # whatever one engine answers, the others are asked on
            failure = error.kind if isinstance(error, ArmFailure) else type(error).__name__
            self._service.metrics.add("health_checks_failed_total", arm=arm.name)
        breaker = self._service.breakers.get(arm.name)
        if breaker is not None and self._service.arms.get(arm.name) is arm:  # else it has left meanwhile
            if failure is None and breaker.is_down:
                LOGGER.warning("arm %s is up again", arm.name)
            elif failure is not None and not breaker.is_down:
                LOGGER.warning("arm %s is down: %s", arm.name, failure)
            breaker.checked(failure)
        self._next_at[arm] = time.monotonic() + arm.spec.health_every_s
