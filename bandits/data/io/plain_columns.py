"""Columns as every reader expects them, however a file stores them."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc


def plain_columns(table: pa.Table) -> pa.Table:
    """Return a table whose texts are all stored alike, whatever the file's dictionaries and views.

    Raises:
        ValueError: if two columns have one name.
    """
    twice = [name for name in table.column_names if table.column_names.count(name) > 1]
    if twice:
        raise ValueError(f"columns must have names that differ, got {twice[0]!r} twice")
    return pa.table({name: _plain(table.column(name)) for name in table.column_names})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    return column.cast(pa.string()) if pa.types.is_string_view(column.type) else column
