"""Writing a file or a folder whole or not at all: the only writer of results in this project.

What is written stands under a temporary name in the same folder until it is complete and on the disk; a rename then
puts it in place. Temporary names carry machine, process and thread, so that the next writer of the same path removes
what a dead one left.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_PARTIAL, _REPLACED = "partial", "replaced"
_NAME = re.compile(r"\.(.+)\.([0-9a-f]{8})\.(\d+)\.(\d+)\.(partial|replaced)")


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a path to write a file at, which takes the place of `path` once the body has ended.

    Missing folders are made. Where the body raises, whatever stood at `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path, _PARTIAL)
    partial = _temporary(path, _PARTIAL)
    try:
        yield partial
        _sync(partial)
        partial.replace(path)
        _sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: str | Path) -> Iterator[BinaryIO]:
    """Yield a file opened for writing, which takes the place of `path` as in `atomic_path`."""
    with atomic_path(path) as partial, partial.open("wb") as file:
        yield file


def write_file(path: str | Path, content: str | bytes) -> None:
    """Write a whole file, text as UTF-8, as `atomic_path` does."""
    with atomic_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


def claim_file(path: str | Path) -> bool:
    """Make an empty file, unless there is one: of several processes that want to write it, one is told True."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.open("xb").close()
    except FileExistsError:
        return False
    return True


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield a new folder to fill, which takes the place of `path`, older contents included, once the body has ended.

    Where the body raises, whatever stood at `path` stays as it was. A file system has no rename that swaps two
    folders: a crash between the two renames leaves the older one beside `path`, until `path` is written again.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_stale(path, _PARTIAL)
    partial, replaced = _temporary(path, _PARTIAL), _temporary(path, _REPLACED)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        for entry in (*partial.rglob("*"), partial):
            _sync(entry)
        if path.is_dir():
            shutil.rmtree(replaced, ignore_errors=True)
            path.rename(replaced)
        partial.rename(path)
        _sync(path.parent)
        shutil.rmtree(replaced, ignore_errors=True)
        _remove_stale(path, _REPLACED)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_stale(folder: str | Path) -> None:
    """Remove from a folder what dead writers of this machine left unfinished, whatever they wrote."""
    folder, mark = Path(folder), f".{_machine()}."
    entries = folder.iterdir() if folder.is_dir() else ()
    for name in {entry.name[1:].rpartition(mark)[0] for entry in entries if entry.name.endswith(f".{_PARTIAL}")} - {""}:
        _remove_stale(folder / name, _PARTIAL)


def _temporary(path: Path, state: str) -> Path:
    return path.with_name(f".{path.name}.{_machine()}.{os.getpid()}.{threading.get_native_id()}.{state}")


def _machine() -> str:
    """Return a mark of this machine: on a shared file system, another one's process numbers say nothing here."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def remove_partial_files(folder: str | Path) -> None:
    """Remove what dead processes of this machine left half-written in a folder, whatever it was to become."""
    _remove_dead(Path(folder), None, _PARTIAL)


def _remove_stale(path: Path, state: str) -> None:
    _remove_dead(path.parent, path.name, state)


def _remove_dead(folder: Path, name: str | None, state: str) -> None:
    for entry in folder.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match is None or match[2] != _machine() or match[5] != state or name not in (None, match[1]):
            continue
        if not _is_writing(int(match[3]), int(match[4])):
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)


def _is_writing(process: int, thread: int) -> bool:
    if process == os.getpid():
        return thread in {alive.native_id for alive in threading.enumerate()}
    if os.name != "posix":
        return True  # signal 0 asks nothing there: it interrupts
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _sync(path: Path) -> None:
    """Flush a file or a folder to the disk; folders only where the system can."""
    if path.is_dir() and os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
