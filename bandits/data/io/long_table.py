"""Data from a long table: one (query, arm) a row, as results are usually kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from bandits import checks
from bandits.checks import Bool, Float32, Float64, Int64
from bandits.data.full_information_data import FullInformationData
from bandits.data.io.arrow_columns import arrow_table, is_text, numbers_of
from bandits.data.logged_data import LoggedData
from bandits.data.propensity import arm_frequencies, estimate_propensities
from bandits.encoders.columns import ColumnFeatures, Unknown
from bandits.encoders.encoder import ContextEncoder

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
ROLES = ("query_id", "domain", "query", "arm", "reward", "cost", "propensity", "weight", "time")


@dataclass(frozen=True, slots=True)
class TableLayout:
    """Which columns of a long table mean what.

    Args:
        columns: role to column name, where they differ; the roles are query_id, domain, query (the text), arm,
            reward, cost, propensity, weight and time. Only arm and reward must be there.
        context_columns: features; numbers as they are, text as one 0/1 feature a level (levels sorted). None
            takes the columns named context_0, context_1, ...; with an encoder, those named stand beside its features.
        features: the features of another table, such as `ColumnFeatures.of_name(policy.learned.encoder)`: the same
            columns and levels, whatever levels this table has. Instead of `context_columns`.
        unknown_levels: "refuse", or "own_column" for a feature that says that a level is none of those known; for
            `features` they have settled it.
        arm_names: the arms in order, also those that no row took; None takes the table's, sorted.
        encoder: name of the encoder that made the context columns, which the data are marked with.
    """

    columns: Mapping[str, str] | None = None
    context_columns: Sequence[str] | None = None
    features: ColumnFeatures | None = None
    unknown_levels: Unknown = "refuse"
    arm_names: Sequence[str] | None = None
    encoder: str | None = None

    def __post_init__(self) -> None:
        if self.features is not None and self.context_columns is not None:
            raise ValueError("features name the context columns themselves: leave context_columns out")
        unknown = [role for role in self.columns or () if role not in ROLES]
        if unknown:
            raise ValueError(f"columns: unknown role {unknown[0]!r}; the roles are {', '.join(ROLES)}")


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
        table: a Parquet, CSV or JSON lines file (see `read_table`), an Arrow table, a pandas frame, or columns by name.
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
    rows = _Rows(arrow_table(table), layout or TableLayout())
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
        self._name = {role: (layout.columns or {}).get(role, role) for role in ROLES}
        for role, name in (layout.columns or {}).items():
            if name not in table.column_names:
                raise ValueError(f"the table has no column {name!r} (for {role}); it has {self._known()}")
        self._layout = layout
        arms = self.texts("arm")
        names = cast("tuple[str, ...]", self._required(arms, "arm"))
        by_value = int if self._holds_integers("arm") else str  # 9 before 10
        self.arm_names = checks.names(layout.arm_names or sorted(set(names), key=by_value))
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
            available=cast("Bool | None", self._per_arm("available_", np.bool_)),
            action_probabilities=cast("Float64 | None", self._per_arm("probability_", np.float64)),
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
        domains = self.texts("domain")
        return FullInformationData(
            contexts=contexts[first],
            rewards=rewards,
            arm_names=self.arm_names,
            observed=observed,
            costs=costs,
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
        named = self._layout.context_columns is not None or self._layout.features is not None
        if encoder is None:
            columns, self.encoder = self._feature_columns()
            return checks.contexts(columns)
        if not named:
            self.encoder = encoder.name
            return self._encoded(encoder)
        columns, self.encoder = self._feature_columns(mark=True)
        self.encoder = f"{encoder.name}+{self.encoder}"
        return np.concatenate([self._encoded(encoder), checks.contexts(columns)], axis=1)

    def _encoded(self, encoder: ContextEncoder) -> Float32:
        texts = cast("tuple[str, ...]", self._required(self.texts("query"), "query"))
        for row, text in enumerate(texts):
            if not text.strip():
                raise ValueError(f"row {row} has no query text to encode: use context columns instead of an encoder")
        distinct = list(dict.fromkeys(texts))
        place = {text: index for index, text in enumerate(distinct)}
        encoded: Float32 = encoder.encode(distinct)[[place[text] for text in texts]]
        return encoded

    def _feature_columns(self, mark: bool = False) -> tuple[Float64, str | None]:
        """Return (n, d) float64 and the name to mark them with, which columns of text need and others only if asked."""
        fixed = self._layout.features
        names = self._layout.context_columns if fixed is None else list(fixed.levels)
        if names is None:
            names = []
            while f"context_{len(names)}" in self._table.column_names:
                names.append(f"context_{len(names)}")
        if not names:
            raise ValueError(
                f"contexts need an encoder for query texts, or context columns; the table has {self._known()}"
            )
        columns = {name: self._context_column(name) for name in names}
        features = fixed or ColumnFeatures.fit(columns, self._layout.unknown_levels)
        told = mark or fixed is not None or any(features.levels.values())
        return features.encode_columns(columns), self._layout.encoder or (features.name if told else None)

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
        return column is not None and any(column.to_pylist())

    def texts(self, role: str) -> tuple[str | None, ...] | None:
        """Return a column of text; None where there is none or it is empty. Whole numbers count as text."""
        column = self._column(self._name[role])
        if column is None or column.null_count == len(column):
            return None
        if not (is_text(column.type) or pa.types.is_integer(column.type)):
            raise TypeError(f"column {self._name[role]!r} must be text, got {column.type}")
        return tuple(None if value is None else str(value) for value in column.to_pylist())

    def _holds_integers(self, role: str) -> bool:
        column = self._column(self._name[role])
        return column is not None and bool(pa.types.is_integer(column.type))

    def _times(self) -> Float64 | None:
        column = self._column(self._name["time"])
        if column is None or not (is_text(column.type) or pa.types.is_timestamp(column.type)):
            return self.numbers("time")
        name = self._name["time"]
        self._refuse_nulls(column, name)
        if pa.types.is_timestamp(column.type):
            return cast("Float64", column.cast(pa.int64()).to_numpy() / _PER_SECOND[column.type.unit])
        try:
            moments = [datetime.fromisoformat(value) for value in column.to_pylist()]
        except ValueError as error:
            raise ValueError(f"column {name!r} must hold ISO times or seconds: {error}") from error
        naive = [moment.tzinfo is None for moment in moments]
        if any(naive) and not all(naive):
            raise ValueError(
                f"column {name!r} must state a zone in every row or in none, got {column[0]} in row 0 and "
                f"{column[naive.index(not naive[0])]} in row {naive.index(not naive[0])}"
            )
        return np.array([(moment.replace(tzinfo=moment.tzinfo or UTC)).timestamp() for moment in moments])

    def _per_arm(self, prefix: str, dtype: type[np.generic]) -> np.ndarray | None:
        names = [prefix + name for name in self.arm_names]
        missing = [name for name in names if name not in self._table.column_names]
        if len(missing) == len(names):
            return None
        if missing:
            raise ValueError(f"the table has no column {missing[0]!r}, but that of another arm: give all arms one")
        columns = [(name, self._table.column(name)) for name in names]
        for name, column in columns:
            self._refuse_nulls(column, name)
        return np.stack([checks.vector(column.to_numpy(), name, dtype, None) for name, column in columns], axis=1)

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
