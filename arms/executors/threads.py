"""Several tasks at a time, in threads of this process."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from arms.checks import at_least
from arms.executors.executor import Executor, Failed, Result, Task
from arms.executors.serial import attempt


class ThreadExecutor(Executor):
    """Runs tasks in threads; right for arms that wait for a server, whose `pull` several threads may call at once.

    Args:
        n_threads: tasks that run at a time, >= 1.

    Raises:
        ValueError: if `n_threads` is not an integer >= 1.
    """

    def __init__(self, n_threads: int = 8) -> None:
        self.n_threads = at_least(n_threads, 1, "n_threads")

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        """Yield results in order; tasks are begun two rounds of threads ahead."""
        pool = ThreadPoolExecutor(self.n_threads)
        pending: deque[Future[Result | Failed]] = deque()
        try:
            for task in tasks:
                pending.append(pool.submit(attempt, function, task))
                if len(pending) > 2 * self.n_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
