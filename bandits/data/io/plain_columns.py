"""Columns as every reader expects them, however a file stores them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bandits.checks import Int64
from bandits.data.parquet_file import MOST_GROWTH, most_bytes, width


def plain_columns(table: pa.Table) -> pa.Table:
    """Return a table whose texts are all stored alike, whatever the file's dictionaries and views.

    Raises:
        ValueError: if two columns have one name, or one unfolds to far more bytes than the table takes.
    """
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        raise ValueError(f"columns must have names that differ, got {twice[0]!r} twice")
    allowed = most_bytes(table.nbytes)
    return pa.table({name: _plain(name, table.column(name), allowed) for name in table.column_names})


def _plain(name: str, column: pa.ChunkedArray, allowed: int) -> pa.ChunkedArray:
    if pa.types.is_run_end_encoded(column.type):
        _check_size(name, column, allowed)
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        _check_size(name, column, allowed)
        column = column.cast(column.type.value_type)
    if pa.types.is_string_view(column.type):
        _check_size(name, column, allowed)
        column = column.cast(pa.string())
    return column


def _check_size(name: str, column: pa.ChunkedArray, allowed: int) -> None:
    unfolded = sum(_unfolded(chunk) for chunk in column.chunks)
    if unfolded > allowed:
        raise ValueError(
            f"column {name!r} must unfold to at most {allowed:,} bytes, {MOST_GROWTH} times the table's size, got "
            f"{unfolded:,}: it was made to fill memory, or keep long texts that repeat elsewhere, and their ids here"
        )


def _unfolded(chunk: pa.Array) -> int:
    """Return the bytes of a chunk's values, each counted as often as it stands in a row."""
    if pa.types.is_run_end_encoded(chunk.type):
        return int(np.diff(chunk.run_ends.to_numpy().astype(np.int64), prepend=0) @ _lengths(chunk.values))
    if pa.types.is_dictionary(chunk.type):
        rows = chunk.indices.drop_null().to_numpy().astype(np.int64)
        return int(np.bincount(rows, minlength=len(chunk.dictionary)) @ _lengths(chunk.dictionary))
    return int(_lengths(chunk).sum())


def _lengths(values: pa.Array) -> Int64:
    """Return (n,) int64, the bytes of each value."""
    kind = values.type
    if pa.types.is_string_view(kind):
        views = np.frombuffer(values.buffers()[1] or b"", np.int32).reshape(-1, 4)
        present = values.is_valid().to_numpy(zero_copy_only=False)
        return np.where(present, views[values.offset : values.offset + len(values), 0], 0).astype(np.int64)
    if any(is_kind(kind) for is_kind in (pa.types.is_string, pa.types.is_large_string)):
        return np.asarray(pc.binary_length(values).fill_null(0).to_numpy(zero_copy_only=False), np.int64)
    return np.full(len(values), width(kind) or values.nbytes, np.int64)
