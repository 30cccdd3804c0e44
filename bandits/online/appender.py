"""Appending lines to a file and seeing to it that they reach the disk."""

from __future__ import annotations

import os
import threading
from pathlib import Path


class Appender:
    """Appends whole lines; several threads may wait for one fsync together.

    Args:
        path: an existing file, written by nobody else.
        sync_every: `settle` calls fsync once this many lines wait for it; 0 leaves that to the operating system.
    """

    def __init__(self, path: Path, sync_every: int) -> None:
        self._path, self._sync_every = path, sync_every
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.size = os.fstat(self._fd).st_size
        self._n_written = self._n_synced = 0
        self._sync_lock = threading.Lock()
        self._failed = False

    def write(self, line: bytes) -> int:
        """Append a line and return its ticket for `settle`; not to be called by two threads at once.

        Raises:
            OSError: if it cannot be written; the file is as it was before.
            RuntimeError: if an earlier write failed and could not be undone, or an fsync failed.
        """
        if self._failed:
            raise RuntimeError(f"{self._path} could not be written before: mend the disk and open the log again")
        self._failed = True  # until the line is whole, or gone again
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except BaseException:
            os.ftruncate(self._fd, self.size)
            self._failed = False
            raise
        self._failed = False
        self.size += len(line)
        self._n_written += 1
        return self._n_written

    def settle(self, ticket: int) -> None:
        """Return once the line of this ticket is on the disk, or is one of fewer than `sync_every` that are not."""
        if self._sync_every == 0 or ticket - self._n_synced < self._sync_every:
            return
        with self._sync_lock:
            if self._n_synced < ticket:  # else a thread before this one took the line along
                self._sync()

    def close(self) -> None:
        """Bring everything to the disk and close the file; called twice it does nothing."""
        with self._sync_lock:
            if self._fd < 0:
                return
            try:
                self._sync()
            finally:
                os.close(self._fd)
                self._fd = -1

    def _sync(self) -> None:
        n_written = self._n_written
        try:
            os.fsync(self._fd)
        except BaseException:
            self._failed = True
            raise
        self._n_synced = n_written
