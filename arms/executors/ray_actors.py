"""Several tasks at a time, each worker a Ray actor: on this machine, or on a cluster."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from types import ModuleType
from typing import Generic, Protocol

from arms.checks import at_least, not_negative
from arms.executors.executor import Executor, Failed, Result, Task, describe
from arms.executors.serial import attempt
from arms.optional_import import optional_import

LOCAL = "local"


class RayExecutor(Executor):
    """Runs tasks in Ray actors; right for work that one machine is too small for.

    Each worker is one actor, which gets the function once and keeps it, so that models that it loads at its first task
    stay loaded. A worker is given tasks once it has begun: a cluster that has room for fewer works with fewer, and one
    that grows gives tasks to the others then. One that dies, with its node perhaps, costs the task it had: that task
    yields a `Failed`, and another worker takes its place. Every node needs draftpick and what the function imports.

    Ray is imported by `map`, not before. Where the process is connected to a cluster already (`ray.init`), that one is
    used and left as it is; else `map` connects, and disconnects when it ends.

    Args:
        address: "ray://host:port" of a cluster's client server, or "local", which starts Ray here.
        n_workers: actors, >= 1; None takes one a processor of the cluster.
        gpus_per_worker: GPUs that each actor has to itself, >= 0; a share of one is allowed.

    Raises:
        ValueError: if an argument breaks its rule.
    """

    def __init__(self, address: str = LOCAL, *, n_workers: int | None = None, gpus_per_worker: float = 0.0) -> None:
        if address != LOCAL and not address.removeprefix("ray://").rpartition(":")[0]:
            raise ValueError(f'address must be "local" or "ray://host:port", got {address!r}')
        self.address = address
        self.n_workers = None if n_workers is None else at_least(n_workers, 1, "n_workers")
        self.gpus_per_worker = not_negative(gpus_per_worker, "gpus_per_worker")

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        """Yield results in order.

        Raises:
            ImportError: if Ray is not installed.
            ConnectionError: if there is no cluster at the address, or it goes away.
            TypeError: if the function or a task cannot be pickled.
            RuntimeError: if a worker cannot begin: the cluster has not the processors and GPUs for one, or a node
                lacks what the function imports.
        """
        ray = optional_import("ray", "ray")
        with _connected(ray, self.address, self.n_workers):
            resources = ray.cluster_resources()
            self._check_room(resources)
            n_workers = self.n_workers or int(resources["CPU"])
            crew = _Crew[Result](ray, function, n_workers, self.gpus_per_worker)
            try:
                yield from crew.map(tasks)
            except ConnectionError as error:
                raise ConnectionError(
                    f"the Ray cluster went away ({_first_line(error)}): begin again on another one, or on this one "
                    "once it is back; parts that were written are kept"
                ) from error
            finally:
                crew.stop()

    def _check_room(self, resources: Mapping[str, float]) -> None:
        """Reject a cluster that can never begin a worker: Ray would wait for one to join that can."""
        for kind, need in (("CPU", 1.0), ("GPU", self.gpus_per_worker)):
            if resources.get(kind, 0.0) < need:
                raise RuntimeError(
                    f"a worker needs {need:g} {kind}, and the Ray cluster has {resources.get(kind, 0.0):g}: begin "
                    "nodes that have them first, or ask for less with gpus_per_worker"
                )


@contextmanager
def _connected(ray: ModuleType, address: str, n_workers: int | None) -> Iterator[None]:
    if ray.is_initialized():
        yield
        return
    if address == LOCAL:
        ray.init(address=LOCAL, num_cpus=n_workers, include_dashboard=False, log_to_driver=False)
    else:
        try:
            ray.init(address=address, log_to_driver=False)
        except ConnectionError as error:
            raise ConnectionError(
                f"no Ray cluster answers at {address} ({_first_line(error)}): start one with a client server there; "
                "where it asks for a token, set RAY_AUTH_MODE=token here too, and give the token"
            ) from error
    try:
        yield
    finally:
        ray.shutdown()


class _Call(Protocol):
    """Ray's reference to what a call will return."""

    def __hash__(self) -> int: ...


class _Crew(Generic[Result]):
    """The actors that share a function, and what each is at."""

    def __init__(self, ray: ModuleType, function: object, n_workers: int, n_gpus: float) -> None:
        self._ray, self._n_workers = ray, n_workers
        self._actor = ray.remote(num_cpus=1, num_gpus=n_gpus)(Worker)
        self._function = self._sent(function)
        self._idle: list[_Member] = []
        self._beginning: dict[_Call, _Member] = {}
        self._busy: dict[_Call, _Member] = {}

    def map(self, tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        numbered = enumerate(tasks)
        waiting: deque[tuple[int, Task]] = deque()
        done: dict[int, Result | Failed] = {}
        n_given = 0
        while True:
            n_begun = len(waiting) + len(self._busy)
            waiting.extend(islice(numbered, max(0, min(self._n_workers, 4 * self._n_workers - len(done)) - n_begun)))
            self._begin(waiting)
            if not waiting and not self._busy:
                return
            [call], _ = self._ray.wait([*self._beginning, *self._busy], num_returns=1)
            if call in self._beginning:
                self._welcome(call)
            else:
                number, result = self._receive(call)
                done[number] = result
            while n_given in done:
                yield done.pop(n_given)
                n_given += 1

    def stop(self) -> None:
        """End all actors, whatever they are doing; those of a cluster that is gone have ended."""
        if not self._ray.is_initialized():
            return
        for member in (*self._idle, *self._beginning.values(), *self._busy.values()):
            self._ray.kill(member.actor)

    def _begin(self, waiting: deque[tuple[int, Task]]) -> None:
        """Give tasks to idle workers, and start as many workers as there are tasks without one, and room."""
        while waiting and self._idle:
            member = self._idle.pop()
            member.number, task = waiting.popleft()
            member.since = time.perf_counter()
            self._busy[member.actor.run.remote(self._sent(task))] = member
        n_new = min(len(waiting) - len(self._beginning), self._n_workers - len(self._beginning) - len(self._busy))
        for _ in range(n_new):
            member = _Member(self._actor.remote(self._function))
            self._beginning[member.actor.ready.remote()] = member

    def _welcome(self, call: _Call) -> None:
        member = self._beginning.pop(call)
        try:
            self._ray.get(call)
        except self._ray.exceptions.RayError as error:
            raise RuntimeError(
                f"a Ray worker ended before it could begin ({_first_line(error)}): install draftpick, and what the "
                "function imports, on every node"
            ) from error
        self._idle.append(member)

    def _receive(self, call: _Call) -> tuple[int, Result | Failed]:
        """Return the number of a task that ended, and its result."""
        member = self._busy.pop(call)
        result: Result | Failed
        try:
            result = self._ray.get(call)
        except self._ray.exceptions.RayActorError as error:
            result = Failed(f"the Ray worker died ({_first_line(error)})", time.perf_counter() - member.since)
        except self._ray.exceptions.RayError as error:
            result = Failed(f"the result cannot travel ({_first_line(error)})", time.perf_counter() - member.since)
            self._idle.append(member)
        else:
            self._idle.append(member)
        return member.number, result

    def _sent(self, value: object) -> object:
        """Return Ray's reference to a value that it has pickled and keeps for the workers."""
        try:
            return self._ray.put(value)
        except TypeError as error:
            raise TypeError(f"what travels to Ray workers must be picklable ({_first_line(error)})") from error


class Worker:
    """Calls a function on one task after another; Ray makes an actor of it."""

    def __init__(self, function: Callable[[object], object]) -> None:
        self._function = function

    def ready(self) -> None:
        """Return once the function is here."""

    def run(self, task: object) -> object:
        """Return the function's result, or a `Failed` for its exception."""
        return attempt(self._function, task)


class _ActorHandle(Protocol):
    """Ray's handle of a `Worker`."""

    ready: _RemoteMethod
    run: _RemoteMethod


class _RemoteMethod(Protocol):
    def remote(self, *arguments: object) -> _Call: ...


class _Member:
    """An actor, and the number of the task that it has."""

    __slots__ = ("actor", "number", "since")

    def __init__(self, actor: _ActorHandle) -> None:
        self.actor, self.number, self.since = actor, -1, 0.0


def _first_line(error: BaseException) -> str:
    """Return an exception's type and the first line of its text; Ray writes many."""
    cause = getattr(error, "cause", None)
    shown = cause if isinstance(cause, BaseException) else error
    return describe(shown).strip().splitlines()[0]
