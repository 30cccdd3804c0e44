"""Data from a long table: one (query, arm) a row, as results are usually kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from bandits import checks
from bandits.checks import Bool, Float32, Float64, Int64
from bandits.data.full_information_data import FullInformationData
from bandits.data.io.arrow_columns import arrow_table, flags_of, is_text, numbers_of
from bandits.data.io.table_layout import ROLES, TEXT_ROLES, TableLayout
from bandits.data.io.times import is_moment, seconds_since_1970
from bandits.data.logged_data import LoggedData
from bandits.data.propensity import arm_frequencies, estimate_propensities
from bandits.encoders.columns import ColumnFeatures
from bandits.encoders.encoder import ContextEncoder


def from_long_table(
    table: str | Path | pa.Table | Mapping[str, Sequence[object]],
    encoder: ContextEncoder | None = None,
    layout: TableLayout | None = None,
    propensities: Literal["logged", "estimated"] = "logged",
) -> FullInformationData | LoggedData:
    """Read a table of (query, arm, reward, cost, propensity) rows.

    With propensities a row is a decision and the result `LoggedData` (marked as of estimated propensities where a
    column propensity_estimated is true). Without, rows of one query are joined:
    the result is `FullInformationData`, where an arm without a row is unobserved. A table with one row a query
    and no propensity could mean either, and is rejected unless propensities are to be estimated.

    Args:
        table: a file or folder (Parquet, CSV, JSON lines, Arrow, Hugging Face datasets: see `read_table`), an Arrow
            table, a frame of pandas, polars or another library that exports Arrow, or columns by name.
        encoder: makes contexts from the column `query`; None takes them from the layout's context columns.
        layout: names of the columns, where they are not those above.
        propensities: "estimated" makes a log of a table without them; see `estimate_propensities`.

    Raises:
        ValueError: naming the row and the value, if a column or value is missing or breaks its rule, a query
            has an arm twice, or the contexts or domains of one query differ.

    Warns:
        DeterministicLogWarning: if all propensities are 1 although there are several arms.
    """
    if propensities not in ("logged", "estimated"):
        raise ValueError(f"propensities must be 'logged' or 'estimated', got {propensities!r}")
    layout = layout or TableLayout()
    rows = _Rows(arrow_table(table, [layout.column(role) for role in TEXT_ROLES]), layout)
    if propensities == "estimated":
        if rows.numbers("propensity") is not None:
            raise ValueError("the table holds propensities: leave propensities='logged'")
        frequencies = arm_frequencies(rows.actions, len(rows.arm_names))[rows.actions]
        return estimate_propensities(rows.log(rows.contexts(encoder), frequencies, estimated=True))
    stated = rows.numbers("propensity")
    if stated is not None:
        log = rows.log(rows.contexts(encoder), stated, estimated=rows.any_estimated())
        if log.action_probabilities is None:
            log.warn_if_deterministic()
        return log
    return rows.full_information(rows.contexts(encoder))


class _Rows:
    """The columns of a long table, checked as they are asked for."""

    def __init__(self, table: pa.Table, layout: TableLayout) -> None:
        if table.num_rows == 0:
            raise ValueError("the table must hold at least one row, got none")
        self._table = table
        self._name = {role: layout.column(role) for role in ROLES}
        for role, name in (layout.columns or {}).items():
            if name not in table.column_names:
                raise ValueError(f"the table has no column {name!r} (for {role}); it has {self._known()}")
        self._layout = layout
        arms = self.texts("arm")
        names = cast("tuple[str, ...]", self._required(arms, "arm"))
        self.arm_names = checks.names(layout.arm_names or _in_order(set(names)))
        place = {name: index for index, name in enumerate(self.arm_names)}
        for row, name in enumerate(names):
            if name not in place:
                raise ValueError(f"row {row} has arm {name!r}, which is not among {', '.join(self.arm_names)}")
        self.actions: Int64 = np.array([place[name] for name in names], dtype=np.int64)
        self.rewards = cast("Float64", self._required(self.numbers("reward"), "reward"))

    def log(self, contexts: Float32, propensities: Float64, *, estimated: bool) -> LoggedData:
        """Return each row as a decision."""
        return LoggedData(
            contexts=contexts,
            actions=self.actions,
            rewards=self.rewards,
            propensities=propensities,
            arm_names=self.arm_names,
            available=cast("Bool | None", self._per_arm("available_", flags_of)),
            action_probabilities=cast("Float64 | None", self._per_arm("probability_", numbers_of)),
            costs=self.numbers("cost"),
            weights=self.numbers("weight"),
            times=self._times(),
            query_ids=self.texts("query_id"),
            domains=self.texts("domain"),
            encoder=self.encoder,
            propensities_estimated=estimated,
        )

    def full_information(self, contexts: Float32) -> FullInformationData:
        """Return one row a query."""
        ids = cast("tuple[str, ...]", self._required(self.texts("query_id"), "query_id"))
        place = {key: index for index, key in enumerate(dict.fromkeys(ids))}
        if len(place) == len(ids) and len(self.arm_names) > 1:
            raise ValueError(
                "every query has one row and there is no propensity: if the table is a log of decisions, name the "
                "column of propensities or ask for estimated ones; full information needs a row for each arm"
            )
        query = np.array([place[key] for key in ids])
        first = np.full(len(place), -1)
        first[query[::-1]] = np.arange(len(ids))[::-1]
        self._check_queries(ids, query, first, contexts)
        shape = (len(place), len(self.arm_names))
        rewards, observed = np.full(shape, np.nan), np.zeros(shape, np.bool_)
        rewards[query, self.actions], observed[query, self.actions] = self.rewards, True
        costs, stated = None, self.numbers("cost")
        if stated is not None:
            costs = np.full(shape, np.nan)
            costs[query, self.actions] = stated
        domains, times = self.texts("domain"), self._times()
        if times is not None:
            earliest = np.full(len(place), np.inf)
            np.minimum.at(earliest, query, times)
            times = earliest
        return FullInformationData(
            contexts=contexts[first],
            rewards=rewards,
            arm_names=self.arm_names,
            observed=observed,
            costs=costs,
            times=times,
            query_ids=tuple(place),
            domains=None if domains is None else tuple(domains[row] for row in first.tolist()),
            encoder=self.encoder,
        )

    def _check_queries(self, ids: tuple[str, ...], query: Int64, first: Int64, contexts: Float32) -> None:
        """Reject an arm twice on one query, and contexts or domains that differ within one."""
        seen: dict[tuple[int, int], int] = {}
        for row, cell in enumerate(zip(query.tolist(), self.actions.tolist(), strict=True)):
            if cell in seen:
                raise ValueError(
                    f"rows {seen[cell]} and {row} both hold query {ids[row]!r} with arm {self.arm_names[cell[1]]!r}: "
                    "give different runs different query ids, or state propensities if rows are decisions"
                )
            seen[cell] = row
        domains = np.array(self.texts("domain") or (None,) * len(ids), dtype=object)
        for what, differs in (
            ("context", (contexts != contexts[first[query]]).any(axis=1)),
            ("domain", domains != domains[first[query]]),
        ):
            if differs.any():
                row = int(np.argmax(differs))
                raise ValueError(
                    f"query {ids[row]!r} must have one {what}: row {row} differs from row {first[query[row]]}"
                )

    def contexts(self, encoder: ContextEncoder | None) -> Float32:
        """Return (n, d) float32: encoded texts, the context columns, or both side by side."""
        layout, numbered = self._layout, self._numbered_columns()
        names = layout.context_columns if layout.features is None else list(layout.features.levels)
        if encoder is None:
            columns, features = self._feature_columns(numbered if names is None else names)
            told = names is not None or any(features.levels.values())
            self.encoder = layout.encoder or (features.name if told else None)
            return checks.data_contexts(columns)
        if names is None and numbered:
            raise ValueError(
                f"the table has columns {', '.join(numbered[:3])}, and an encoder makes contexts too: name in "
                "context_columns those that stand beside its features, or () for none"
            )
        encoded = self._encoded(encoder)
        self.encoder = encoder.name
        if not names:
            return encoded
        columns, features = self._feature_columns(names)
        self.encoder = features.beside(encoder.name)
        return np.concatenate([encoded, checks.data_contexts(columns)], axis=1)

    def _encoded(self, encoder: ContextEncoder) -> Float32:
        texts = cast("tuple[str, ...]", self._required(self.texts("query"), "query"))
        for row, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"row {row} has no query text to encode: use context columns instead of an encoder")
        distinct = list(dict.fromkeys(texts))
        place = {text: index for index, text in enumerate(distinct)}
        encoded: Float32 = encoder.encode(distinct)[[place[text] for text in texts]]
        return encoded

    def _numbered_columns(self) -> list[str]:
        names: list[str] = []
        while f"context_{len(names)}" in self._table.column_names:
            names.append(f"context_{len(names)}")
        return names

    def _feature_columns(self, names: Sequence[str]) -> tuple[Float64, ColumnFeatures]:
        """Return (n, d) float64 and what each of the d features is."""
        if not names:
            raise ValueError(
                f"contexts need an encoder for query texts, or context columns; the table has {self._known()}"
            )
        columns = {name: self._context_column(name) for name in names}
        features = self._layout.features or ColumnFeatures.fit(columns, self._layout.unknown_levels)
        return features.encode_columns(columns), features

    def _context_column(self, name: str) -> list[str] | Float64:
        column = self._column(name)
        if column is None:
            raise ValueError(f"the table has no context column {name!r}; it has {self._known()}")
        self._refuse_nulls(column, name)
        return cast("list[str]", column.to_pylist()) if is_text(column.type) else numbers_of(column, name)

    def numbers(self, role: str) -> Float64 | None:
        """Return a column of numbers; None where there is none or it is empty; some missing is rejected."""
        column = self._column(self._name[role])
        if column is None or column.null_count == len(column):
            return None
        values = numbers_of(column, self._name[role])
        missing = np.isnan(values)
        if missing.all():
            return None
        if missing.any():
            row = int(np.argmax(missing))
            raise ValueError(f"row {row} has no {self._name[role]}, others have: fill it, or leave the row out")
        return values

    def any_estimated(self) -> bool:
        """Return whether the column `propensity_estimated`, which `to_pandas` writes, is true in any row."""
        column = self._column("propensity_estimated")
        return column is not None and bool(flags_of(column, "propensity_estimated").any())

    def texts(self, role: str) -> tuple[str | None, ...] | None:
        """Return a column of text; None where there is none or it is empty. Whole numbers count as text."""
        column = self._column(self._name[role])
        if column is None or column.null_count == len(column):
            return None
        if not (is_text(column.type) or pa.types.is_integer(column.type)):
            raise TypeError(f"column {self._name[role]!r} must be text, got {column.type}")
        return tuple(None if value is None else str(value) for value in column.to_pylist())

    def _times(self) -> Float64 | None:
        name = self._name["time"]
        column = self._column(name)
        if column is None or not is_moment(column.type):
            return self.numbers("time")
        self._refuse_nulls(column, name)
        return seconds_since_1970(column, name)

    def _per_arm(self, prefix: str, read: Callable[[pa.ChunkedArray, str], np.ndarray]) -> np.ndarray | None:
        names = [prefix + name for name in self.arm_names]
        missing = [name for name in names if name not in self._table.column_names]
        if len(missing) == len(names):
            return None
        if missing:
            raise ValueError(f"the table has no column {missing[0]!r}, but that of another arm: give all arms one")
        columns = [(name, self._table.column(name)) for name in names]
        for name, column in columns:
            self._refuse_nulls(column, name)
        return np.stack([read(column, name) for name, column in columns], axis=1)

    def _required(self, values: object, role: str) -> object:
        name = self._name[role]
        if values is None:
            raise ValueError(f"the table needs a column {name!r} ({role}); it has {self._known()}")
        if isinstance(values, tuple) and None in values:
            raise ValueError(f"row {values.index(None)} has no {name}")
        if isinstance(values, np.ndarray):
            checks.finite(values, name)
        return values

    def _refuse_nulls(self, column: pa.ChunkedArray, name: str) -> None:
        if column.null_count:
            raise ValueError(f"row {column.is_null().to_pylist().index(True)} has no {name}")

    def _column(self, name: str) -> pa.ChunkedArray | None:
        return self._table.column(name) if name in self._table.column_names else None

    def _known(self) -> str:
        return ", ".join(self._table.column_names)


def _in_order(names: Iterable[str]) -> list[str]:
    """Sort names; numbers by their value, 9 before 10."""
    by_name = sorted(names)
    return sorted(by_name, key=int) if all(name.isdecimal() for name in by_name) else by_name
