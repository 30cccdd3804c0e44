"""The part files of a data folder: written whole or not at all, each with a header that says what it holds.

A part is written under a temporary name, flushed to disk and renamed, so that a crash leaves either the whole
part or none. What a part holds (its kind, its arms, its encoder) stands as JSON in the file's schema. The folder is
whole once its manifest closes it: see `closed_folder`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import pyarrow as pa

from arms import checks
from arms.atomic_file import atomic_file
from bandits.data.parquet_file import write_parquet

FORMAT_VERSION = 1
_KEY = b"draftpick"
_NAME = re.compile(r"part-(\d{5,})(?:\.(\d+))?\.parquet")


def part_path(folder: str | Path, part_index: int, generation: int = 1) -> Path:
    """Return the path of part `part_index` in `folder`: part-00000.parquet, from generation 2 part-00000.2.parquet."""
    checks.at_least(part_index, 0, "part_index")
    mark = "" if generation == 1 else f".{generation}"
    return Path(folder) / f"part-{part_index:05d}{mark}.parquet"


def part_indices(folder: str | Path, generation: int = 1) -> list[int]:
    """Return the indices of the parts in `folder`, in order; empty when there is no such folder.

    Raises:
        ValueError: naming a file that is almost called like a part, such as a copy.
    """
    indices = []
    for path in Path(folder).glob("*.parquet"):
        if path.name.startswith("."):
            continue
        index, found = place_of(path)
        if found == generation:
            indices.append(index)
    return sorted(indices)


def is_part_name(name: str) -> bool:
    """Return whether a file is called like a part."""
    return _NAME.fullmatch(name) is not None


def place_of(path: Path) -> tuple[int, int]:
    """Return the part index and the generation of a part's file.

    Raises:
        ValueError: if its name is not one that a part has.
    """
    match = _NAME.fullmatch(path.name)
    if match is not None:
        index, generation = int(match[1]), int(match[2] or 1)
        if part_path(path.parent, index, generation) == path:
            return index, generation
    raise ValueError(
        f"{path} is not called like a part ({part_path('', 0)}, {part_path('', 1)}, ...): it is foreign, or a copy; "
        "move it out of the folder"
    )


def write_table(
    folder: str | Path, part_index: int, table: pa.Table, header: dict[str, object], generation: int = 1
) -> Path:
    """Write one part atomically and return its path; a part of the same index is replaced."""
    path = part_path(folder, part_index, generation)
    text = json.dumps({"format_version": FORMAT_VERSION, **header})
    table = table.replace_schema_metadata({_KEY: text.encode()})
    with atomic_file(path) as file:
        write_parquet(table, file)
    return path


def part_header(path: Path, schema: pa.Schema, kind: str | None) -> dict[str, object]:
    """Return what a part says it holds.

    Raises:
        ValueError: if it says nothing, is damaged, from a newer version or of another kind than `kind`.
    """
    text = (schema.metadata or {}).get(_KEY)
    if text is None:
        raise ValueError(f"{path} was not written by draftpick (no 'draftpick' entry in its schema)")
    try:
        header = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} has a damaged header ({error}): delete it and run again") from error
    if not isinstance(header, dict) or type(header.get("format_version")) is not int:
        raise ValueError(f"{path} has a damaged header: delete it and run again")
    version = header["format_version"]
    if version < 1:
        raise ValueError(
            f"{path} has a damaged header (format_version must be >= 1, got {version}): delete it and run again"
        )
    if version > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this draftpick reads up to {FORMAT_VERSION}: upgrade draftpick"
        )
    if kind is not None and header.get("kind") != kind:
        raise ValueError(f"{path} holds {header.get('kind')}, expected {kind}")
    return cast("dict[str, object]", header)
