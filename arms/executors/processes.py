"""Several tasks at a time, each worker a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from multiprocessing.connection import Connection, wait
from typing import Generic, cast

from arms.checks import at_least
from arms.executors.executor import Executor, Failed, Result, Task, describe
from arms.executors.serial import attempt

_READY = b"ready"
_PATIENCE_S = 5.0  # for a process that was asked to end


class ProcessExecutor(Executor):
    """Runs tasks in processes started afresh ("spawn"); right for arms that compute, or that may crash.

    Function, tasks and results travel as pickles; the function once to each worker. A worker that dies costs the task
    it had: that task yields a `Failed`, and another worker takes its place. A script that uses it must be guarded by
    `if __name__ == "__main__":`, since each worker imports the script.

    Args:
        n_processes: workers, >= 1; None takes one a processor.

    Raises:
        ValueError: if `n_processes` is not an integer >= 1.
    """

    def __init__(self, n_processes: int | None = None) -> None:
        self.n_processes = at_least((os.cpu_count() or 1) if n_processes is None else n_processes, 1, "n_processes")

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        """Yield results in order.

        Raises:
            TypeError: if the function or a task cannot be pickled.
            RuntimeError: if a worker dies before it can take a task, as it does in an unguarded script.
        """
        pickled = _pickled(function)
        numbered = enumerate(tasks)
        idle: list[_Worker[Result]] = []
        busy: dict[Connection, _Worker[Result]] = {}
        done: dict[int, Result | Failed] = {}
        n_given = 0
        try:
            while True:
                n_free = min(self.n_processes, 4 * self.n_processes - len(done)) - len(busy)
                for number, task in islice(numbered, max(0, n_free)):
                    worker = idle.pop() if idle else _Worker(pickled)
                    busy[worker.connection] = worker
                    worker.begin(number, task)
                if not busy:
                    return
                for connection in cast("list[Connection]", wait(list(busy))):
                    worker = busy[connection]
                    if (result := worker.receive()) is not None:
                        done[worker.number] = result
                        del busy[connection]
                        if worker.is_alive:
                            idle.append(worker)
                while n_given in done:
                    yield done.pop(n_given)
                    n_given += 1
        finally:
            for worker in (*idle, *busy.values()):
                worker.stop()


class _Worker(Generic[Result]):
    """A process that calls the function on one task after another."""

    def __init__(self, pickled_function: bytes) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, pickled_function))
        self._process.start()
        theirs.close()  # so that the worker's death ends the connection
        self.number = -1
        self.is_alive, self._is_ready, self._begin = True, False, 0.0

    def begin(self, number: int, task: object) -> None:
        """Send a task, the `number`-th of all."""
        self.number, self._begin = number, time.perf_counter()
        with suppress(OSError):  # `receive` finds out that the worker is dead
            self.connection.send_bytes(_pickled(task))

    def receive(self) -> Result | Failed | None:
        """Return the task's result, or None where the worker has only said that it is ready."""
        try:
            message = self.connection.recv_bytes()
        except (EOFError, OSError):
            return self._died()
        if not self._is_ready:
            self._is_ready = message == _READY
            return None
        try:
            result: Result | Failed = pickle.loads(message)
        except Exception as error:
            return Failed(f"the result cannot be read from its pickle ({describe(error)})", self._seconds())
        return result

    def _died(self) -> Failed:
        self.is_alive = False
        seconds = self._seconds()
        self.stop()
        code = self._process.exitcode
        if not self._is_ready:
            raise RuntimeError(
                f"a worker process ended before it could begin (exit code {code}; its error is on standard error): "
                "guard the script with `if __name__ == '__main__':`, keep what travels to workers importable, "
                "or use ThreadExecutor"
            )
        return Failed(f"the worker process died (exit code {code})", seconds)

    def _seconds(self) -> float:
        return time.perf_counter() - self._begin

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        self.connection.close()
        if self.is_alive:
            self._process.terminate()
        self._process.join(_PATIENCE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _work(connection: Connection, pickled_function: bytes) -> None:
    """Answer tasks until the other side closes the connection."""
    function = pickle.loads(pickled_function)
    with suppress(EOFError, OSError, KeyboardInterrupt):
        connection.send_bytes(_READY)
        while True:
            result = attempt(lambda message: function(pickle.loads(message)), connection.recv_bytes())
            try:
                message = pickle.dumps(result)
            except Exception as error:
                message = pickle.dumps(Failed(f"the result cannot be pickled ({describe(error)})", 0.0))
            connection.send_bytes(message)


def _pickled(value: object) -> bytes:
    try:
        return pickle.dumps(value)
    except Exception as error:
        raise TypeError(
            f"what travels to worker processes must be picklable ({describe(error)}): define functions and classes at "
            "a module's top level, or use ThreadExecutor"
        ) from error
