"""The file of a saved policy: one JSON header and named arrays, in safetensors. Reading it can never run code."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from arms.atomic_file import atomic_file
from arms.fingerprint import digest
from arms.input_file import check_is_file

FORMAT_VERSION = 2
FILE_NAME = "policy.safetensors"
_HEAD_BYTES = 200  # of a file of saved results, whose kind is in its second line
_KEY, _DIGEST = "draftpick_policy", "digest"


def policy_path(path: str | Path) -> Path:
    """Return a saved policy's file: `path` itself if it ends in .safetensors, else that folder's file."""
    path = Path(path)
    return path if path.suffix == ".safetensors" else path / FILE_NAME


def write_file(path: str | Path, header: Mapping[str, object], tensors: Mapping[str, np.ndarray]) -> Path:
    """Write a header of JSON values and arrays, whole or not at all, and return the file's path."""
    file = policy_path(path)
    arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    versioned = {"format_version": FORMAT_VERSION, **header}
    text = json.dumps({**versioned, _DIGEST: _content_digest(versioned, arrays)})
    content = save(arrays, metadata={_KEY: text})
    with atomic_file(file) as out:
        out.write(content)
    return file


def read_file(path: str | Path) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """Return the header and the arrays that `write_file` wrote.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, from an older or newer version, or is something else.
    """
    file = policy_path(path)
    if not file.exists():
        if Path(path).is_file():
            raise ValueError(
                f"{path} is no saved policy, which is a folder or ends in .safetensors{_said_by(Path(path))}"
            )
        raise FileNotFoundError(f"{file} does not exist: train a policy and save it there first")
    check_is_file(file)
    try:
        with safe_open(file, framework="numpy") as content:
            text = (content.metadata() or {}).get(_KEY)
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118  no mapping
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is damaged or cut off ({error}): train the policy and save it again") from error
    if text is None:
        raise ValueError(f"{file} is not a saved policy (no '{_KEY}' entry in its metadata)")
    header = _checked_header(file, text)
    if header.pop(_DIGEST, None) != _content_digest(header, tensors):
        raise ValueError(
            f"{file} is damaged (its digest does not fit what it holds): train the policy and save it again"
        )
    return header, tensors


def _said_by(file: Path) -> str:
    """Return what a file of this project's says it is; nothing for others."""
    with file.open("rb") as content:
        kind = re.search(rb'"kind": "(\w+)"', content.read(_HEAD_BYTES))
    return f": it holds a saved {kind[1].decode()}" if kind else ""


def _content_digest(header: Mapping[str, object], tensors: Mapping[str, np.ndarray]) -> str:
    """Return the digest of a file's header and arrays, which the header holds too."""
    return digest(json.dumps(header), dict(sorted(tensors.items())))


def _checked_header(file: Path, text: str) -> dict[str, object]:
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} has damaged metadata ({error})") from error
    version = header.get("format_version") if isinstance(header, dict) else None
    if not isinstance(header, dict) or type(version) is not int or version < 1:
        raise ValueError(f"{file} has damaged metadata: format_version must be an integer >= 1, got {version!r}")
    if version < FORMAT_VERSION:
        raise ValueError(f"{file} has format version {version}, was saved by an earlier draftpick: train again")
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{file} has format version {version}, this draftpick reads {FORMAT_VERSION}: upgrade draftpick"
        )
    return header
