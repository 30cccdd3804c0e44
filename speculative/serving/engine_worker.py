"""One engine in a thread of its own: requests join between its steps, and leave when they end or nobody waits."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future

from speculative.engine.engine import Engine
from speculative.pools.pool import Pool
from speculative.protocols.request import Generation, Request, RoundResult
from speculative.serving.assigned_rounds import AssignedRounds, Chooser
from speculative.serving.problem import ArmFailure
from speculative.targets.rule_arm import PoolArm

Told = RoundResult | Generation | Exception


class EngineWorker:
    """Steps an engine while it has requests, and tells whoever waits for one what each round gave.

    Args:
        pool: whose target writes and whose arms help; as many requests run at once as the target's `max_batch`, and as
            much is kept of what was read as its `prefix_cache_bytes`.

    Attributes:
        target: the pool's.
        arm_names: of the engine's arms, in their order.
    """

    def __init__(self, pool: Pool) -> None:
        self.target, self.arm_names = pool.target, tuple(pool.arms.names)
        self._selector = AssignedRounds(len(pool.arms))
        self._engine: Engine = pool.target.engine(
            list(pool.arms),
            self._selector,
            max_batch=pool.target.max_batch,
            decode=True,
            prefix_cache_bytes=pool.target.prefix_cache_bytes,
        )
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._listeners: dict[str, Callable[[Told], None]] = {}
        self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="draftpick-engine", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests that have not joined the running ones yet."""
        return self._inbox.qsize() + self._engine.n_unfinished - len(self._engine.running)

    async def rounds(self, request: Request, chooser: Chooser) -> AsyncGenerator[RoundResult | Generation, None]:
        """Yield what each round gives a request, and its generation last; closing this early cancels the request.

        Args:
            request: with an id that no other has.
            chooser: index of the arm that helps it in every round, or what chooses one at each.

        Raises:
            ValueError: if the request does not fit the engine.
            ArmFailure: if the engine fails, or the selector does.
        """
        told: asyncio.Queue[Told] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def listen(item: Told) -> None:
            loop.call_soon_threadsafe(told.put_nowait, item)

        self._inbox.put(lambda: self._join(request, chooser, listen))
        try:
            while True:
                item = await told.get()
                if isinstance(item, Exception):
                    raise item
                yield item
                if isinstance(item, Generation):
                    return
        finally:
            self._inbox.put(lambda: self._leave(request.id))

    def add_arms(self, arms: Sequence[PoolArm]) -> Future[None]:
        """Let further arms help from the next step on, while requests run; the result is there once they may.

        Their names are theirs from then on, also where an arm of one has been there before.

        Args:
            arms: of the pool's target. The result raises what `Engine.add_arms` raises.
        """
        done: Future[None] = Future()

        def add() -> None:
            try:
                self._engine.add_arms(arms)
            except Exception as error:  # for whoever waits
                done.set_exception(error)
                return
            self.arm_names = (*self.arm_names, *(arm.name for arm in arms))
            self._selector.n_arms = len(self.arm_names)
            done.set_result(None)

        self._inbox.put(add)
        return done

    def action(self, name: str) -> int:
        """Return the engine's index of the arm that has a name now."""
        return max(action for action, known in enumerate(self.arm_names) if known == name)

    def stop(self) -> None:
        """End after the step under way; requests that run are told that the engine has ended."""
        self._inbox.put(self._end)
        self._thread.join()

    def _run(self) -> None:
        while not self._is_stopped:
            if self._engine.n_unfinished == 0:
                self._inbox.get()()  # waits
            while not self._inbox.empty():
                self._inbox.get()()
            if self._engine.n_unfinished and not self._is_stopped:
                self._step()

    def _step(self) -> None:
        try:
            results = self._engine.step()
        except Exception as error:  # a model or a draft of the user's own may raise anything
            self._fail_all(*_told(error))
            return
        while self._selector.failures:
            self._fail(*self._selector.failures.popitem())
        for result in results:
            listen = self._listeners.get(result.request_id)
            if listen is None:  # its selector has failed
                continue
            listen(result)
            if result.finished is not None:
                listen(self._engine.take(result.request_id))
                self._forget(result.request_id)

    def _join(self, request: Request, chooser: Chooser, listen: Callable[[Told], None]) -> None:
        self._selector.choosers[request.id] = chooser
        try:
            self._engine.submit(request)
        except (ValueError, TypeError) as error:
            del self._selector.choosers[request.id]
            listen(error)
            return
        self._listeners[request.id] = listen

    def _leave(self, request_id: str) -> None:
        if request_id in self._listeners:
            self._engine.discard(request_id)
            self._forget(request_id)

    def _fail(self, request_id: str, error: Exception) -> None:
        listen = self._listeners.get(request_id)
        if listen is not None:
            self._leave(request_id)
            listen(ArmFailure(*_told(error)))

    def _fail_all(self, reason: str, kind: str | None = None) -> None:
        for request_id, listen in list(self._listeners.items()):
            self._leave(request_id)
            listen(ArmFailure(reason, kind))

    def _end(self) -> None:
        self._fail_all("the engine has ended")
        self._is_stopped = True

    def _forget(self, request_id: str) -> None:
        del self._listeners[request_id], self._selector.choosers[request_id]
        self._selector.failures.pop(request_id, None)


def _told(error: Exception) -> tuple[str, str]:
    """Return what a client gets of an error, and what log and page do."""
    return f"{type(error).__name__}: {error}", type(error).__name__
