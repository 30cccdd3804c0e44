"""A progress bar on standard error."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress


@contextmanager
def ticks(name: str, total: int) -> Iterator[Callable[[], None]]:
    """Give what is called after each of `total` pieces of work."""
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task(name, total=total)
        yield lambda: progress.advance(task)
