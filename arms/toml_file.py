"""TOML files of the user's own: read whole, or rejected by name before they take time or depth."""

import re
import tomllib
from pathlib import Path

from arms.input_file import read_text

MOST_BYTES = 2**20
"""Of a file: a pool of a thousand arms has a tenth of it."""
MOST_PARTS = 32
"""Of a dotted key; the time that a key takes grows with the square of its parts."""
_NO_KEYS = re.compile(
    r'#[^\n]*|"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)  # comments, and texts, of which only quoted keys are parts of keys
_AROUND_KEYS = re.compile(r"[^\w\-. \t]")


def read_toml(path: str | Path, what: str) -> dict[str, object]:
    """Return the table that a TOML file holds.

    Args:
        path: of the file.
        what: what it is called, e.g. "pool file", for the error's text.

    Raises:
        ValueError: naming the file, if it is missing, no file, too long, too deep or no TOML.
    """
    try:
        text = read_text(path, MOST_BYTES)
    except OSError as error:
        reason = error.strerror or "No such file or directory"
        raise ValueError(f"{what} {path} cannot be read ({reason}); check the path") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{what} {path} is not TOML: {error}") from error
    except ValueError as error:
        raise ValueError(f"{what} {error}") from error
    n_parts = 1 + max(piece.count(".") for piece in _AROUND_KEYS.split(_NO_KEYS.sub("k", text)))
    if n_parts > MOST_PARTS:
        raise ValueError(f"{what} {path}: a key must have at most {MOST_PARTS} parts, got {n_parts}")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits is a plain ValueError
        raise ValueError(f"{what} {path} is not TOML: {error}") from error
