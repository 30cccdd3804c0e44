"""What is read from must be a file: a pipe or a device could give bytes for ever, or never."""

import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path

MOST_BYTES = 2**30
"""Of a file that is read whole: more than draftpick writes into one, and less than would take the memory."""
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def check_is_file(path: str | Path) -> None:
    """Reject a path that is not of a file, before it is opened.

    Raises:
        FileNotFoundError: if there is nothing.
        ValueError: if there is something else, which the message names.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(f"{path} does not exist as a file; check the path") from error
    if not stat.S_ISREG(mode):
        kind = next((kind for is_kind, kind in _KINDS.items() if is_kind(mode)), "not a file")
        raise ValueError(f"{path} must be a file, got {kind}: write what is to be read into a file first")


def read_bytes(path: str | Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return all that a file holds.

    Args:
        path: of the file.
        most_bytes: that it may hold.

    Raises:
        FileNotFoundError: if there is nothing.
        OSError: if it cannot be read.
        ValueError: if it is no file, or holds more.
    """
    check_is_file(path)
    with Path(path).open("rb") as file:
        n_bytes = os.fstat(file.fileno()).st_size
        if n_bytes > most_bytes:
            raise ValueError(f"{path} must have at most {most_bytes} bytes, got {n_bytes}")
        return file.read()


def read_lines(path: str | Path, most_bytes: int) -> Iterator[bytes]:
    """Yield a file's lines, of which no more than one is in memory.

    Args:
        path: of the file.
        most_bytes: that a line may have.

    Raises:
        FileNotFoundError: if there is nothing.
        OSError: if it cannot be read.
        ValueError: if it is no file, or a line is longer.
    """
    check_is_file(path)
    with Path(path).open("rb") as file:
        number = 0
        while line := file.readline(most_bytes + 1):
            number += 1
            if len(line) > most_bytes:
                raise ValueError(f"{path}, line {number}: must have at most {most_bytes:,} bytes, got more: shorten it")
            yield line


def read_text(path: str | Path, most_bytes: int = MOST_BYTES, encoding: str = "utf-8") -> str:
    """Return a file's text; arguments and errors as of `read_bytes`.

    Raises:
        UnicodeDecodeError: if it is no text in the encoding; a ValueError.
    """
    return io.TextIOWrapper(io.BytesIO(read_bytes(path, most_bytes)), encoding).read()
