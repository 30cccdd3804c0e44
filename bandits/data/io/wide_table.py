"""Data from a wide table: one query a row, one column of rewards an arm, as router benchmarks are published."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from arms.fingerprint import digest
from arms.query import UnusedIds
from bandits import checks
from bandits.checks import Bool, Float64
from bandits.data.full_information_data import FullInformationData
from bandits.data.io.arrow_columns import arrow_table, is_text, numbers_of
from bandits.data.io.long_table import from_long_table
from bandits.data.io.table_layout import TEXT_ROLES, TableLayout
from bandits.encoders.encoder import ContextEncoder


def from_wide_table(
    table: str | Path | pa.Table | Mapping[str, Sequence[object]],
    arm_names: Sequence[str] | None,
    encoder: ContextEncoder | None = None,
    layout: TableLayout | None = None,
    *,
    cost_suffix: str | None = None,
) -> FullInformationData:
    """Read a table with a row a query and a column of rewards an arm.

    Args:
        table: as `from_long_table` takes it; an empty entry of an arm's column is not observed.
        arm_names: the columns that are arms, in order; None takes those that have a column of costs.
        encoder: makes contexts from the column `query`; None takes the layout's context columns.
        layout: names of the columns query_id, domain and query, where they differ, and of context columns. Without
            ids each row is a query of its own, with an id made from its text and context columns, the same in every
            table (the second of two equal rows ends in -2).
        cost_suffix: of the column of an arm's costs, such as "|total_cost"; None reads no costs.

    Raises:
        ValueError: if a column is missing, a row has no observed arm, or as `from_long_table`.
    """
    layout = layout or TableLayout()
    wide = _with_ids(arrow_table(table, [layout.column(role) for role in TEXT_ROLES]), layout)
    arms = checks.names(_with_costs(wide, cost_suffix) if arm_names is None else arm_names)
    costs = {} if cost_suffix is None else {arm: f"{arm}{cost_suffix}" for arm in arms}
    missing = [name for name in (*arms, *costs.values()) if name not in wide.column_names]
    if missing:
        raise ValueError(f"the table has no column {missing[0]!r}; it has {', '.join(wide.column_names)}")
    others = [name for name in wide.column_names if name not in (*arms, *costs.values())]
    taken = [name for name in others if name in ("arm", "reward", "cost")]
    if taken:
        raise ValueError(f"the table has a column {taken[0]!r}, as a long one has: read it with from_long_table")
    observed = np.stack([wide.column(arm).is_valid().to_numpy() for arm in arms], axis=1)
    if not observed.any(axis=1).all():
        row = int(np.argmin(observed.any(axis=1)))
        raise ValueError(f"row {row} must have a reward of at least one arm, got none: fill it, or leave the row out")
    prices = {arm: numbers_of(wide.column(name), name) for arm, name in costs.items()}
    if costs:
        _check_prices(prices, costs, observed)
    parts = []
    for arm, seen in zip(arms, observed.T, strict=True):
        columns = {name: wide.column(name) for name in others}
        columns |= {"arm": pa.array([arm] * len(wide), pa.string()), "reward": numbers_of(wide.column(arm), arm)}
        if costs:
            columns["cost"] = prices[arm]
        parts.append(pa.table(columns).filter(pa.array(seen)))
    order = np.argsort(np.concatenate([np.flatnonzero(seen) for seen in observed.T]), kind="stable")
    long = pa.concat_tables(parts).take(order)
    data = from_long_table(long, encoder, replace(layout, arm_names=arms))
    if not isinstance(data, FullInformationData):
        raise ValueError("the table has propensities, as a log has: read it with from_long_table")
    return data


def _check_prices(prices: Mapping[str, Float64], costs: Mapping[str, str], observed: Bool) -> None:
    """Refuse a reward without its cost where others have theirs, by the row of the wide table."""
    lacking = {arm: np.isnan(own) & seen for (arm, own), seen in zip(prices.items(), observed.T, strict=True)}
    if all(lacks[seen].all() for lacks, seen in zip(lacking.values(), observed.T, strict=True)):
        return
    for arm, lacks in lacking.items():
        if lacks.any():
            row = int(np.argmax(lacks))
            raise ValueError(f"row {row} has no {costs[arm]!r}, others have: fill it, or leave the row out")


def _with_costs(wide: pa.Table, cost_suffix: str | None) -> list[str]:
    """Return the columns beside which there is one of costs."""
    if not cost_suffix:
        raise ValueError("name the columns that are arms, or the cost_suffix that tells them from others")
    arms = [name for name in wide.column_names if f"{name}{cost_suffix}" in wide.column_names]
    if not arms:
        raise ValueError(
            f"no column has one of costs beside it (NAME{cost_suffix}); the table has {', '.join(wide.column_names)}"
        )
    return arms


def _with_ids(wide: pa.Table, layout: TableLayout) -> pa.Table:
    """Return the table with ids of queries, made of their contents where it has none and no column was named for them.

    Row numbers would call other queries by the same names in the next table.
    """
    if "query_id" in wide.column_names or "query_id" in (layout.columns or {}):
        return wide
    named = {layout.column("query"), *(layout.features.levels if layout.features else layout.context_columns or ())}
    contents = [n for n in wide.column_names if n in named or re.fullmatch(r"context_\d+", n)]
    columns = (wide.column(name) for name in contents)
    read = [
        c.to_pylist() if is_text(c.type) else numbers_of(c, n).tolist() for n, c in zip(contents, columns, strict=True)
    ]
    ids: dict[str, None] = {}
    unused = UnusedIds(ids)
    for row in zip(*read, strict=True):
        ids[unused.like(f"q-{digest(row)[:16]}")] = None
    return wide.append_column("query_id", pa.array(list(ids), pa.string())) if ids else wide
