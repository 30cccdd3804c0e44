"""What tells one model's files from another's, and what one version of the loader keeps from another's."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

LOADER_VERSION = 3  # goes up with every change of what a conversion holds: earlier ones are then left alone
_PIECES, _PIECE = 1024, 4096  # of a file's numbers, evenly spaced, that its digest reads


def content_digest(files: Sequence[tuple[Path, int]]) -> str:
    """Return a digest of files' headers, sizes and evenly spaced pieces of their numbers, and of the loader's version.

    Args:
        files: each with the number of bytes at its beginning that are all read.
    """
    total = hashlib.sha256(f"{LOADER_VERSION}".encode())
    for file, end in files:
        size = file.stat().st_size
        total.update(f"{size}:".encode())
        with file.open("rb") as content:
            total.update(content.read(end))
            for i in range(_PIECES if size > end else 0):
                content.seek(end + max(0, size - end - _PIECE) * i // (_PIECES - 1))
                total.update(content.read(_PIECE))
    return total.hexdigest()[:16]
