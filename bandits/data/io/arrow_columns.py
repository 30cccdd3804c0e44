"""Columns of an Arrow table, read as numbers or text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import pyarrow as pa

from bandits.checks import Float64
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
        return table
    if type(table).__module__.split(".")[0] == "pandas":
        return pa.Table.from_pandas(table, preserve_index=False)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in table.items()})


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column of this type holds text, also where it is stored as a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def numbers_of(column: pa.ChunkedArray, name: str) -> Float64:
    """Return a column as (n,) float64, NaN where nothing is stored; refuse what is no number."""
    try:
        return cast("Float64", column.cast(pa.float64()).to_numpy().astype(np.float64))
    except pa.ArrowException as error:
        raise ValueError(f"column {name!r} must hold numbers, got {column.type}: {error}") from error
