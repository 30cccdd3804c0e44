"""Columns of an Arrow table, read as numbers or text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from bandits import checks
from bandits.checks import Bool, Float64
from bandits.data.io.plain_columns import plain_columns
from bandits.data.io.table_files import read_table


def arrow_table(
    table: str | Path | pa.Table | Mapping[str, Sequence[object]], text_columns: Collection[str] = ()
) -> pa.Table:
    """Return a file, a frame of pandas or polars, or columns by name as an Arrow table.

    Args:
        table: as `from_long_table` takes it.
        text_columns: columns that stay text as it is written, in a file that does not say what a column is.

    Raises:
        FileNotFoundError: if there is no such file.
        TypeError: if it is none of these.
        ValueError: if the file cannot be read (see `read_table`), or columns differ in length.
    """
    if isinstance(table, str | Path):
        return read_table(table, text_columns)
    if isinstance(table, pa.Table):
        return plain_columns(table)
    if isinstance(table, pa.RecordBatch):
        return plain_columns(pa.Table.from_batches([table]))
    if type(table).__module__.split(".")[0] == "pandas" and hasattr(table, "columns"):
        return _of_frame(cast("Any", table))
    if hasattr(table, "__arrow_c_stream__") and hasattr(table, "columns"):  # of polars and others; a series has none
        return plain_columns(pa.table(table))
    if not isinstance(table, Mapping):
        raise TypeError(
            "table must be a file's path, an Arrow table, a frame of pandas or polars or a mapping of columns by name, "
            f"got {type(table).__name__}"
        )
    try:
        columns = {str(name): pa.array(_ordered(values, str(name)), from_pandas=True) for name, values in table.items()}
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"the table's columns must each hold values of one kind: {error}") from error
    return plain_columns(pa.table(columns))


def is_text(kind: pa.DataType) -> bool:
    """Return whether a plain column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _ordered(values: Sequence[object], name: str) -> Sequence[object]:
    """Refuse what Arrow would misread: masked entries, sets, and moments of which only some state a zone."""
    checks.check_order(values, f"column {name!r}")
    checks.check_unmasked(values, name)
    if isinstance(values, list | tuple) or getattr(getattr(values, "dtype", None), "kind", "") == "O":
        naive = [value.tzinfo is None for value in values if isinstance(value, datetime) and value == value]
        if any(naive) and not all(naive):
            raise TypeError(f"column {name!r} must state a zone in every row or in none")
    return values


def _of_frame(frame: Any) -> pa.Table:
    """Return a pandas frame with the named levels of its index as columns, unless it has columns of these names."""
    if frame.index.names == [None] and any(isinstance(label, str) for label in frame.index):
        raise ValueError(
            f"the frame's index has no name and holds text, such as {frame.index[0]!r}: name it, such as query_id, to "
            "have it read, or drop it with reset_index(drop=True)"
        )
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    try:
        for name in frame.columns.unique():
            _ordered(frame[name], str(name))
        table = pa.Table.from_pandas(frame.reset_index(level=named) if named else frame, preserve_index=False)
        return plain_columns(table)
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise ValueError(f"the frame's columns must each hold values of one kind: {error}") from error


def numbers_of(column: pa.ChunkedArray, name: str) -> Float64:
    """Return a column as (n,) float64, NaN where nothing is stored; refuse what is no number."""
    if pa.types.is_temporal(column.type) or isinstance(column.type, pa.BaseExtensionType):
        raise ValueError(
            f"column {name!r} must hold numbers, got {column.type}: convert it first, such as times to seconds or days"
        )
    try:
        return cast("Float64", column.cast(pa.float64()).to_numpy().astype(np.float64))
    except pa.ArrowException as error:
        where = _first_without_number(column) if is_text(column.type) else f"got {column.type}: {error}"
        raise ValueError(f"column {name!r} must hold numbers, {where}") from error


def _first_without_number(column: pa.ChunkedArray) -> str:
    for row, value in enumerate(column):
        try:
            value.cast(pa.float64())
        except pa.ArrowException:
            return f"row {row} has {value.as_py()!r:.80}"
    return f"got {column.type}"


def flags_of(column: pa.ChunkedArray, name: str) -> Bool:
    """Return a column of true and false, or of whole 0 and 1, as (n,) bool; what is not stored is false.

    Raises:
        TypeError: naming the row, if a value is anything else: the text "false" is no flag, and 0.2 none either.
    """
    if pa.types.is_boolean(column.type):
        return cast("Bool", column.fill_null(False).to_numpy())
    flags = column.to_pylist()
    for row, flag in enumerate(flags):
        if flag is not None and (isinstance(flag, str | bytes) or flag not in (0, 1)):
            raise TypeError(f"column {name!r} must hold true and false, or 0 and 1: row {row} is {flag!r}")
    return np.array(flags, dtype=np.bool_)
