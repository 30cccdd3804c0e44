"""A JSON file of a checkpoint folder, read whole or rejected by name."""

import json
from pathlib import Path
from typing import Any

MAX_BYTES = 2**26  # the index of a model of a thousand billion weights is smaller


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises:
        ValueError: if it is no regular file, longer than 64 MiB, or holds anything but one JSON object.
    """
    if not path.is_file():
        raise ValueError(f"{path} must be a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} must have at most {MAX_BYTES} bytes, got {path.stat().st_size}")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content


def check_regular_files(folder: Path) -> None:
    """Reject a folder with entries that could block or never end when they are read.

    Raises:
        ValueError: if an entry is neither a file nor a folder: a pipe, a device, a socket.
    """
    for entry in sorted(folder.iterdir()):
        if entry.exists() and not entry.is_file() and not entry.is_dir():
            raise ValueError(f"{entry} must be a regular file; it is a pipe, a device or a socket")
