"""What runs independent work."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that gave no result.

    Attributes:
        reason: what went wrong, for example "ValueError: ...", or that the worker died.
        seconds: time until that was known.
    """

    reason: str
    seconds: float


class Executor(ABC):
    """Runs a function on tasks that do not depend on each other; a subclass writes `map`."""

    @abstractmethod
    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> Iterator[Result | Failed]:
        """Yield what `function` returns for each task, in the order of the tasks.

        A task that raises an exception, or whose worker dies, yields a `Failed`; the others go on. Ending the
        iteration early gives up the tasks that were not begun.

        Args:
            function: called once a task, perhaps by several workers at a time.
            tasks: read ahead by no more than the workers need.
        """


def describe(error: BaseException) -> str:
    """Return an exception's type and text."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
