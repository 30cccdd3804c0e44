"""One process at a time in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = ".lock"


@contextmanager
def folder_lock(folder: str | Path) -> Iterator[None]:
    """Hold a folder, which is made if missing, for the length of the body.

    The system gives the lock back when the process ends, however it ends; the empty lock file stays.

    Raises:
        RuntimeError: if another process, or another holder in this one, has the folder.
    """
    path = Path(folder) / LOCK_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            _take(file.fileno())
        except OSError as error:
            raise RuntimeError(
                f"{folder} is in use by another process; wait for it to end, or name another folder"
            ) from error
        yield


def _take(descriptor: int) -> None:
    if os.name == "posix":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]  # exists on Windows only
