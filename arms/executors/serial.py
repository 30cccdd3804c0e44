"""One task after another, where the caller is."""

import time
from collections.abc import Callable, Iterable, Iterator

from arms.executors.executor import Executor, Failed, Result, Task, describe


class SerialExecutor(Executor):
    """Runs each task in the caller's own thread; right for arms that measure their own speed."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        """Yield results in order, each task begun when its result is asked for."""
        return (attempt(function, task) for task in tasks)


def attempt(function: Callable[[Task], Result], task: Task) -> Result | Failed:
    """Call the function once; an exception becomes a `Failed`."""
    begin = time.perf_counter()
    try:
        return function(task)
    except Exception as error:
        return Failed(describe(error), time.perf_counter() - begin)
