"""Opening the log that `--log` names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandits import DecisionLog


@contextmanager
def opened_log(folder: Path) -> "Iterator[DecisionLog]":
    """Open a decision log for writing.

    Raises:
        ValueError: if it is damaged, or another process writes there.
    """
    from bandits import DecisionLog

    try:
        log = DecisionLog(folder)
    except RuntimeError as error:
        raise ValueError(f"--log: {error}") from error
    with log:
        yield log
