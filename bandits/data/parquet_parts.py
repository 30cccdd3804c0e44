"""A folder of Parquet part files: written whole or not at all, read part by part.

A part is written under a temporary name, flushed to disk and renamed, so that a crash leaves either the whole
part or none. What a part holds (its kind, its arms, its encoder) stands as JSON in the file's schema.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq

from arms import checks
from arms.atomic_file import atomic_file

FORMAT_VERSION = 1
ROW_GROUP_ROWS = 16_384  # rows that are in memory while a batch is read: 25 MB at 384 features
_BUFFER_BYTES = 65_536
_KEY = b"draftpick"


def part_path(folder: str | Path, part_index: int) -> Path:
    """Return the path of part `part_index` in `folder`."""
    checks.at_least(part_index, 0, "part_index")
    return Path(folder) / f"part-{part_index:05d}.parquet"


def part_indices(folder: str | Path) -> list[int]:
    """Return the indices of the parts in `folder`, in order; empty when there is no such folder."""
    return sorted(int(path.stem.removeprefix("part-")) for path in Path(folder).glob("part-[0-9]*.parquet"))


def write_table(folder: str | Path, part_index: int, table: pa.Table, header: dict[str, object]) -> Path:
    """Write one part atomically and return its path; a part of the same index is replaced."""
    path = part_path(folder, part_index)
    text = json.dumps({"format_version": FORMAT_VERSION, **header})
    table = table.replace_schema_metadata({_KEY: text.encode()})
    with atomic_file(path) as file:
        pq.write_table(table, file, row_group_size=ROW_GROUP_ROWS)
    return path


def read_tables(
    folder: str | Path, kind: str, batch_rows: int | None = None
) -> Iterator[tuple[Path, pa.Table, dict[str, object]]]:
    """Yield path, rows and header of every part of `folder`, in order.

    Args:
        folder: of the part files.
        kind: what the parts must hold.
        batch_rows: most rows of a table; None yields a part at once.

    Raises:
        FileNotFoundError: if the folder is missing or holds no part.
        ValueError: if a part is unreadable, half-written, from a newer version or of another kind.
    """
    for path in _parts(folder):
        with _opened(path, streamed=batch_rows is not None) as file:
            header = _header(path, file.schema_arrow, kind)
            tables = _tables(file, batch_rows)
            while True:
                try:
                    table = next(tables, None)
                except (pa.ArrowException, OSError) as error:
                    raise _unreadable(path, error) from error
                if table is None:
                    break
                yield path, table, header


def read_headers(folder: str | Path, kind: str) -> Iterator[tuple[Path, pa.Schema, int, dict[str, object]]]:
    """Yield path, schema, number of rows and header of every part, without reading a row; see `read_tables`."""
    for path in _parts(folder):
        with _opened(path) as file:
            yield path, file.schema_arrow, file.metadata.num_rows, _header(path, file.schema_arrow, kind)


def kind_of(folder: str | Path) -> str:
    """Return what the first part of `folder` holds, such as "LoggedData"; for raises see `read_tables`."""
    path = _parts(folder)[0]
    with _opened(path) as file:
        return str(_header(path, file.schema_arrow, None).get("kind"))


def _parts(folder: str | Path) -> list[Path]:
    indices = part_indices(folder)
    if not indices:
        raise FileNotFoundError(f"{folder} holds no part files (part-00000.parquet, ...): nothing to load")
    return [part_path(folder, index) for index in indices]


def _opened(path: Path, streamed: bool = False) -> pq.ParquetFile:
    # pyarrow reads a whole file ahead by default, and a whole row group without a buffer
    settings = {"pre_buffer": False, "buffer_size": _BUFFER_BYTES} if streamed else {}
    try:
        return pq.ParquetFile(path, **settings)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, error) from error


def _tables(file: pq.ParquetFile, batch_rows: int | None) -> Iterator[pa.Table]:
    if batch_rows is None:
        yield file.read()
        return
    for batch in file.iter_batches(batch_rows):
        yield pa.Table.from_batches([batch])


def _unreadable(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is unreadable or half-written ({error}): delete it and run the command that wrote it again"
    )


def _header(path: Path, schema: pa.Schema, kind: str | None) -> dict[str, object]:
    text = (schema.metadata or {}).get(_KEY)
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
    if kind is not None and header.get("kind") != kind:
        raise ValueError(f"{path} holds {header.get('kind')}, expected {kind}")
    return cast("dict[str, object]", header)
