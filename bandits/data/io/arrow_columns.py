"""Columns of an Arrow table, read as numbers or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa

from bandits import checks
from bandits.checks import Float64
from bandits.data.io.plain_columns import plain_columns
from bandits.data.io.table_files import read_table


def arrow_table(table: str | Path | pa.Table | Mapping[str, Sequence[object]]) -> pa.Table:
    """Return a file, a pandas frame or columns by name as an Arrow table.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file cannot be read (see `read_table`), or columns differ in length.
    """
    if isinstance(table, str | Path):
        return read_table(table)
    if isinstance(table, pa.Table):
        return plain_columns(table)
    if type(table).__module__.split(".")[0] == "pandas":
        return _of_frame(cast("Any", table))
    try:
        columns = {str(name): pa.array(_visible(values, str(name)), from_pandas=True) for name, values in table.items()}
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"the table's columns must each hold values of one kind: {error}") from error
    return plain_columns(pa.table(columns))


def is_text(kind: pa.DataType) -> bool:
    """Return whether a plain column of this type holds text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _visible(values: Sequence[object], name: str) -> Sequence[object]:
    """Refuse masked entries, which Arrow would read as if they were not."""
    if isinstance(values, np.ma.MaskedArray):
        checks.plain_array(values, name)
    return values


def _of_frame(frame: Any) -> pa.Table:
    """Return a pandas frame with the named levels of its index as columns, unless it has columns of these names."""
    named = [name for name in frame.index.names if name is not None and name not in frame.columns]
    try:
        table = pa.Table.from_pandas(frame.reset_index(level=named) if named else frame, preserve_index=False)
        return plain_columns(table)
    except (pa.ArrowException, TypeError) as error:
        raise ValueError(f"the frame's columns must each hold values of one kind: {error}") from error


def numbers_of(column: pa.ChunkedArray, name: str) -> Float64:
    """Return a column as (n,) float64, NaN where nothing is stored; refuse what is no number."""
    try:
        return cast("Float64", column.cast(pa.float64()).to_numpy().astype(np.float64))
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} must hold numbers, got {column.type}: {error}") from error
