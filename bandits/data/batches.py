"""Data that are read in batches, as evaluation needs them: no batch is small, and a query keeps its number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bandits.checks import Float64, Int64
from bandits.data.data_stream import DataStream
from bandits.data.policy_data import PolicyData

LEAST_ROWS = 10_000  # of a batch that is estimated on: a model of the rewards is fitted to each
N_GROUPS = 10_000  # of queries: a standard error from their sums is 0.7 % off, as with so many queries
_SPLIT, _GROUP = 1, 2  # what a number is drawn for

AnyData = TypeVar("AnyData", bound=PolicyData)
Keys = NDArray[np.uint64]


def full_batches(stream: DataStream[AnyData], least_rows: int = LEAST_ROWS) -> Iterator[AnyData]:
    """Yield the rows of a stream in order, small batches joined: none has fewer rows, unless all rows are fewer.

    Raises:
        ValueError: if a column that must be in all parts or in none is in some; or as the stream does.
    """
    ready: AnyData | None = None
    first: AnyData | None = None
    held: list[AnyData] = []
    for batch in stream:
        first = batch.subset([0]) if first is None else first
        _joined([first, batch.subset([0])])  # refuses what could not be one data set
        held.append(batch)
        if sum(map(len, held)) >= least_rows:
            if ready is not None:
                yield ready
            ready, held = _joined(held), []
    rest = held if ready is None else [ready, *held]
    if rest:
        yield _joined(rest)


def _joined(batches: list[AnyData]) -> AnyData:
    return batches[0] if len(batches) == 1 else type(batches[0]).concat(batches)


def query_keys(data: PolicyData, first_row: int) -> Keys:
    """Return (n,) uint64, equal for rows of one query in whichever batch: made of its id, or of the row's number.

    Args:
        data: a batch.
        first_row: how many rows came before it.
    """
    rows = np.arange(first_row, first_row + len(data), dtype=np.uint64)
    if data.query_ids is None:
        return rows
    return np.array(
        [row if key is None else _digest(key) for row, key in zip(rows.tolist(), data.query_ids, strict=True)],
        dtype=np.uint64,
    )


def split_places(keys: Keys, seed: int) -> Float64:
    """Return (n,) float64 in [0, 1), a place in a random order of the queries, another one for each seed."""
    return _mixed(_mixed(keys, _SPLIT), seed) / 2.0**64


def group_numbers(keys: Keys, n_rows: int) -> Int64:
    """Return (n,) int64 in [0, N_GROUPS), the group of each query: its row number where there are so few rows.

    Args:
        keys: of `query_keys`.
        n_rows: of the whole stream.
    """
    few = n_rows <= N_GROUPS and bool((keys < n_rows).all())
    return ((keys if few else _mixed(keys, _GROUP)) % np.uint64(N_GROUPS)).astype(np.int64)


def _digest(key: str) -> int:
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def _mixed(keys: Keys, salt: int) -> Keys:
    """Return keys mixed by SplitMix64, begun at another place for each salt (Steele, Lea and Flood 2014)."""
    step = (0x9E3779B97F4A7C15 * (salt + 1)) % 2**64
    mixed = keys + np.uint64(step)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
