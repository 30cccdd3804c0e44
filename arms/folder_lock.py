"""One process at a time writes in a folder."""

from __future__ import annotations

import os
from pathlib import Path

_MOST_DIGITS = 20  # of a process number


class FolderInUseError(RuntimeError):
    """A folder is held by another process, or by another object of this one."""


class FolderLock:
    """Holds a folder for this object until `close`, or until the process ends, however it ends.

    Args:
        folder: made if it is missing.
        what: names it in the error, such as "decision log".

    Raises:
        ValueError: if the folder holds a file `lock` that is no lock.
        FolderInUseError: if another process, or another object of this one, holds it.
    """

    def __init__(self, folder: Path, what: str) -> None:
        import fcntl  # here, so that where there is no flock everything else can be imported

        folder.mkdir(parents=True, exist_ok=True)
        self._file = (folder / "lock").open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            holder = self._file.read(_MOST_DIGITS).decode(errors="replace").strip()
            self._file.close()
            where = "this process itself" if holder == str(os.getpid()) else f"process {holder}"
            raise FolderInUseError(
                f"{folder} is in use by {where}: close that {what} first, or use another folder"
            ) from error
        self._file.seek(0)
        found = self._file.read(_MOST_DIGITS + 1).strip()
        if found and not (found.isdigit() and len(found) <= _MOST_DIGITS):
            self._file.close()
            raise ValueError(f"{folder / 'lock'} is a file of another kind, which would be lost: use another folder")
        self._file.truncate(0)
        self._file.write(str(os.getpid()).encode())
        self._file.flush()

    def close(self) -> None:
        """Let the folder go."""
        self._file.close()
