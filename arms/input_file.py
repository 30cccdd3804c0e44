"""What is read from must be a file: a pipe or a device could give bytes for ever, or never."""

import stat
from pathlib import Path

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
