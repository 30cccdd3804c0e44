"""What a report's figures were made from: digests of the data and of the code, the command, the seeds."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from bandits.data.closed_folder import file_digest

_CODE = ("arms", "rewards", "bandits")
_DEPENDENCIES = ("numpy", "scipy", "pyarrow")


def sources_of(files: Sequence[str | Path], command: str | None, seeds: Sequence[int]) -> dict[str, str]:
    """Return what a reader needs to make the figures again, by what it is.

    Args:
        files: files or folders that the data were read from.
        command: as it was typed; None where there was none.
        seeds: of the comparison.

    Raises:
        FileNotFoundError: if one of the files is not there.
    """
    found = {f"data: {file}": f"SHA-256 {_data_digest(Path(file))}" for file in files}
    return {
        **(found or {"data": "the files were not named when this page was written"}),
        "command": command or "compare(...) in Python",
        "seeds": ", ".join(map(str, seeds)),
        "code": f"draftpick {_version('draftpick')}, Python files of {', '.join(_CODE)}: SHA-256 {_code_digest()}",
        "with": ", ".join(
            [f"Python {platform.python_version()}", *(f"{each} {_version(each)}" for each in _DEPENDENCIES)]
        ),
    }


def _data_digest(path: Path) -> str:
    """Return a file's digest; a folder's is that of its files' names and digests."""
    return (
        _files_digest(path, sorted(each for each in path.rglob("*") if each.is_file()))
        if path.is_dir()
        else file_digest(path)
    )


def _code_digest() -> str:
    digests: dict[str, str] = {}
    for name in _CODE:
        spec = find_spec(name)
        folders = [] if spec is None else [Path(folder) for folder in spec.submodule_search_locations or ()]
        for folder in folders:
            digests[f"{name} {len(digests)}"] = _files_digest(folder, sorted(folder.rglob("*.py")))
    return _digest(digests)


def _files_digest(folder: Path, files: Sequence[Path]) -> str:
    return _digest({file.relative_to(folder).as_posix(): file_digest(file) for file in files})


def _digest(content: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "(not installed as a distribution)"
