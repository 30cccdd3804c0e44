"""What a command shows while it works: a bar where standard error is a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS_BETWEEN_LINES = 10.0
Progress = Callable[[str, int, int], None]


@contextmanager
def busy(task: str) -> Iterator[None]:
    """Say on standard error what is going on."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        console.print(f"{task} ...", highlight=False, soft_wrap=True)
        yield
        return
    with console.status(task):
        yield


@contextmanager
def stages() -> Iterator[Progress]:
    """Show progress on standard error; yields the function to call with (stage, done, of how many)."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainLines(lambda line: console.print(line, highlight=False, soft_wrap=True))
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", visible=False)  # until there is something to show

        def notify(stage: str, done: int, total: int) -> None:
            bar.update(task, description=stage, completed=done, total=total, visible=True)

        yield notify


@contextmanager
def progress(task: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on standard error; yields the function to call with how many more are done."""
    with stages() as notify:
        done = 0

        def advance(n: int) -> None:
            nonlocal done
            done += n
            notify(task, done, total)

        yield advance


class PlainLines:
    """Progress as lines, for a file or a pipe: each stage's first and last news, and others now and then.

    Args:
        write: takes a line.
        clock: gives seconds.
        seconds_between: least time between two lines of a stage, s.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        clock: Callable[[], float] = time.monotonic,
        seconds_between: float = SECONDS_BETWEEN_LINES,
    ) -> None:
        self._write, self._clock, self._between = write, clock, seconds_between
        self._stage: str | None = None
        self._begin = self._last = 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show how many of how many are done of a stage."""
        now = self._clock()
        if stage != self._stage:
            self._stage, self._begin, self._last = stage, now, float("-inf")
        if done < total and now - self._last < self._between:
            return
        self._last = now
        self._write(f"{stage}: {done} of {total}, {now - self._begin:.0f} s")


class _Stderr(logging.Handler):
    """Writes to what is standard error at the time, which a progress bar may have taken over."""

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(f"{self.format(record)}\n")


def log_to_stderr() -> None:
    """Show what the library logs, such as a model's conversion, on standard error."""
    logger = logging.getLogger("speculative")
    if not any(isinstance(handler, _Stderr) for handler in logger.handlers):
        logger.addHandler(_Stderr())
    logger.setLevel(logging.INFO)
