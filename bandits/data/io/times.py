"""Moments in a table's column, as seconds since 1970 whatever the machine's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import numpy as np
import pyarrow as pa

from bandits.checks import Float64
from bandits.data.io.arrow_columns import is_text, numbers_of

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def is_moment(kind: pa.DataType) -> bool:
    """Return whether a plain column of this type holds moments: timestamps, dates, or texts that may be ISO times."""
    return is_text(kind) or bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def seconds_since_1970(column: pa.ChunkedArray, name: str) -> Float64:
    """Return moments as (n,) float64 seconds; those that state no zone are UTC, a date is its midnight.

    Args:
        column: without missing values.
        name: of the column, for the error.

    Raises:
        ValueError: if a text is no ISO time, or some rows state a zone and others do not.
    """
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if pa.types.is_timestamp(column.type):
        return cast("Float64", column.cast(pa.int64()).to_numpy() / _PER_SECOND[column.type.unit])
    try:
        return numbers_of(column, name)
    except ValueError:
        return _of_iso_texts(column.to_pylist(), name)


def _of_iso_texts(texts: list[str], name: str) -> Float64:
    try:
        moments = [datetime.fromisoformat(text) for text in texts]
    except ValueError as error:
        raise ValueError(f"column {name!r} must hold ISO times or seconds: {error}") from error
    naive = [moment.tzinfo is None for moment in moments]
    if any(naive) and not all(naive):
        other = naive.index(not naive[0])
        raise ValueError(
            f"column {name!r} must state a zone in every row or in none, got {texts[0]} in row 0 and "
            f"{texts[other]} in row {other}"
        )
    return np.array([(moment.replace(tzinfo=moment.tzinfo or UTC)).timestamp() for moment in moments])
