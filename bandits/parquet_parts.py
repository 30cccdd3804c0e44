"""A folder of Parquet part files: written whole or not at all, read part by part.

A part is written under a temporary name, flushed to disk and renamed, so that a crash leaves either the whole
part or none. What a part holds (its kind, its arms, its encoder) stands as JSON in the file's schema.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

FORMAT_VERSION = 1
_KEY = b"draftpick"


def part_path(folder: str | Path, part_index: int) -> Path:
    """Return the path of part `part_index` in `folder`."""
    if part_index < 0:
        raise ValueError(f"part_index must be >= 0, got {part_index}")
    return Path(folder) / f"part-{part_index:05d}.parquet"


def part_indices(folder: str | Path) -> list[int]:
    """Return the indices of the parts in `folder`, in order; empty when there is no such folder."""
    return sorted(int(path.stem.removeprefix("part-")) for path in Path(folder).glob("part-[0-9]*.parquet"))


def write_table(folder: str | Path, part_index: int, table: pa.Table, header: dict[str, object]) -> Path:
    """Write one part atomically and return its path; a part of the same index is replaced."""
    path = part_path(folder, part_index)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"format_version": FORMAT_VERSION, **header})
    table = table.replace_schema_metadata({_KEY: text.encode()})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            pq.write_table(table, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def read_tables(folder: str | Path, kind: str) -> Iterator[tuple[Path, pa.Table, dict[str, object]]]:
    """Yield path, table and header of every part of `folder`, in order.

    Raises:
        FileNotFoundError: if the folder is missing or holds no part.
        ValueError: if a part is unreadable, half-written, from a newer version or of another kind.
    """
    indices = part_indices(folder)
    if not indices:
        raise FileNotFoundError(f"{folder} holds no part files (part-00000.parquet, ...): nothing to load")
    for index in indices:
        path = part_path(folder, index)
        try:
            table = pq.read_table(path, partitioning=None)
        except (pa.ArrowException, OSError) as error:
            raise ValueError(
                f"{path} is unreadable or half-written ({error}): delete it and run the command that wrote it again"
            ) from error
        yield path, table, _header(path, table, kind)


def _header(path: Path, table: pa.Table, kind: str) -> dict[str, object]:
    text = (table.schema.metadata or {}).get(_KEY)
    if text is None:
        raise ValueError(f"{path} was not written by draftpick (no 'draftpick' entry in its schema)")
    try:
        header = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path} has a damaged header ({error}): delete it and run again") from error
    if not isinstance(header, dict) or not isinstance(header.get("format_version"), int):
        raise ValueError(f"{path} has a damaged header: delete it and run again")
    if header["format_version"] > FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {header['format_version']}, this draftpick reads up to "
            f"{FORMAT_VERSION}: upgrade draftpick"
        )
    if header.get("kind") != kind:
        raise ValueError(f"{path} holds {header.get('kind')}, expected {kind}")
    return cast("dict[str, object]", header)
