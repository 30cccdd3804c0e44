"""What LoggedData and FullInformationData share: rows, names of arms, a folder of Parquet parts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from bandits import checks
from bandits.data import parquet_parts

AnyData = TypeVar("AnyData", bound="PolicyData")


class PolicyData(ABC):
    """Rows that a policy can learn from; see `LoggedData` and `FullInformationData`.

    Attributes:
        contexts: (n, d) float32.
        arm_names: the k arms, in column (or action) order.
        encoder: name of the context encoder that made `contexts`, or None.
        query_ids, domains: a label a row, or None.
    """

    kind: ClassVar[str]
    contexts: checks.Float32
    arm_names: tuple[str, ...]
    encoder: str | None
    query_ids: tuple[str | None, ...] | None
    domains: tuple[str | None, ...] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.contexts)

    @property
    def n_features(self) -> int:
        """Return d, the size of a context."""
        return int(self.contexts.shape[1])

    @property
    def n_arms(self) -> int:
        """Return k, the number of arms."""
        return len(self.arm_names)

    @abstractmethod
    def subset(self, rows: ArrayLike) -> Self:
        """Return the rows that `rows` (a boolean mask or indices) names."""

    @abstractmethod
    def with_arms(self, arm_names: Sequence[str]) -> Self:
        """Return the same rows with these arms in this order; every arm of the data must be among them."""

    @abstractmethod
    def select_arms(self, arm_names: Sequence[str]) -> Self:
        """Return what the data say about these arms only, in this order."""

    @classmethod
    @abstractmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Return the rows of all parts, one after the other; arms are joined by name."""

    @abstractmethod
    def _columns(self) -> dict[str, pa.Array]:
        """Return the columns beyond contexts and labels that a part file stores."""

    def _header(self) -> dict[str, object]:
        """Return what a part file's header holds beyond kind, arms and encoder."""
        return {}

    @classmethod
    @abstractmethod
    def from_table(cls, table: pa.Table, header: dict[str, object]) -> Self:
        """Return the rows of one part file."""

    def write_part(self, folder: str | Path, part_index: int) -> Path:
        """Write these rows as part `part_index` of `folder`, atomically."""
        columns = {"context": fixed_lists(self.contexts)}
        for name, values in (("query_id", self.query_ids), ("domain", self.domains)):
            if values is not None:
                columns[name] = pa.array(values, pa.string())
        header: dict[str, object] = {
            "kind": self.kind,
            "arm_names": list(self.arm_names),
            "encoder": self.encoder,
            **self._header(),
        }
        return parquet_parts.write_table(folder, part_index, pa.table({**columns, **self._columns()}), header)

    def save(self, folder: str | Path) -> None:
        """Write the rows as the only part of `folder`.

        Raises:
            ValueError: if the folder holds part files already (add to it with `write_part`).
        """
        if parquet_parts.part_indices(folder):
            raise ValueError(f"{folder} holds part files already: choose another folder, or add with write_part")
        self.write_part(folder, 0)

    @classmethod
    def stream(cls, folder: str | Path, batch_rows: int | None = None) -> DataStream[Self]:
        """Return the rows of `folder` to iterate a part, or at most `batch_rows` rows, at a time.

        A log may so be larger than memory: `policy.fit_stream(LoggedData.stream(folder, 10_000))`.
        """
        return open_stream(cls, folder, batch_rows)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return all rows of a folder of part files."""
        return cls.concat(cls.stream(folder))

    def _arm_index(self, arm_names: Sequence[str], *, strict: bool) -> tuple[tuple[str, ...], list[int]]:
        """Return the wanted names and, for each, its index here (-1 where the data do not have it)."""
        wanted = checks.names(arm_names)
        unknown = [name for name in self.arm_names if name not in wanted]
        if strict and unknown:
            raise ValueError(
                f"the data hold arm {unknown[0]!r}, which is not among {', '.join(wanted)}: "
                "add it to the policy, or leave it out with data.select_arms(policy.arm_names)"
            )
        place = {name: index for index, name in enumerate(self.arm_names)}
        return wanted, [place.get(name, -1) for name in wanted]


@dataclass(frozen=True, slots=True)
class DataStream(Generic[AnyData]):
    """Rows of `LoggedData` or `FullInformationData` on disk; iterating yields batches, as often as wanted.

    What stands here is read from the files' headers, without a row. A batch holds at most `batch_rows` rows,
    and while one is read its row group (at most `parquet_parts.ROW_GROUP_ROWS` rows of a part that draftpick
    wrote) is in memory besides; None yields one part file at a time.

    Attributes:
        data_class: `LoggedData` or `FullInformationData`.
        folder: of the part files.
        batch_rows: most rows of a batch, or None.
        arm_names: the arms of all parts, in order of first appearance; every batch holds them in this order.
        n_features: d, the size of a context.
        n_rows: in all parts.
        encoder: name of the context encoder, or None.
    """

    data_class: type[AnyData]
    folder: Path
    batch_rows: int | None
    arm_names: tuple[str, ...]
    n_features: int
    n_rows: int
    encoder: str | None

    def __iter__(self) -> Iterator[AnyData]:
        """Yield the rows in order, with all arms of the folder."""
        for path, table, header in parquet_parts.read_tables(self.folder, self.data_class.kind, self.batch_rows):
            try:
                data = self.data_class.from_table(table, header)
            except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
                raise ValueError(f"{path}: {error}") from error
            yield data.with_arms(self.arm_names)


def open_stream(data_class: type[AnyData], folder: str | Path, batch_rows: int | None) -> DataStream[AnyData]:
    """Read the headers of a folder's part files.

    Raises:
        FileNotFoundError: if the folder is missing or holds no part.
        ValueError: if a part is unreadable, of another kind, or of another context size or encoder than the
            first.
    """
    if batch_rows is not None and batch_rows < 1:
        raise ValueError(f"batch_rows must be >= 1, got {batch_rows}")
    arm_names: dict[str, None] = {}
    n_rows = 0
    first: tuple[int, object] | None = None
    for path, schema, part_rows, header in parquet_parts.read_headers(folder, data_class.kind):
        names = header.get("arm_names")
        if not isinstance(names, list):
            raise ValueError(f"{path} has a damaged header (arm_names: {names!r}): delete it and run again")
        shape = _n_features(path, schema), header.get("encoder")
        first = first or shape
        if shape != first:
            raise ValueError(
                f"parts must share context size and encoder: {path} has {shape[0]} features from {shape[1]}, "
                f"the parts before it {first[0]} from {first[1]}"
            )
        arm_names |= dict.fromkeys(names)
        n_rows += part_rows
    if first is None:
        raise RuntimeError("read_headers must yield a part or raise")
    encoder = cast("str | None", first[1])
    return DataStream(data_class, Path(folder), batch_rows, tuple(arm_names), first[0], n_rows, encoder)


def _n_features(path: Path, schema: Any) -> int:
    index = schema.get_field_index("context")
    if index < 0 or not pa.types.is_fixed_size_list(schema.field(index).type):
        raise ValueError(f"{path} has no column 'context' of fixed size: delete it and run again")
    return int(schema.field(index).type.list_size)


def query_numbers(data: PolicyData) -> checks.Int64:
    """Return (n,) int64 in [0, q): equal for rows that share a query id, each row its own where it has none.

    Numbers follow first appearance.
    """
    if data.query_ids is None:
        return np.arange(len(data), dtype=np.int64)
    keys: list[object] = [row if key is None else key for row, key in enumerate(data.query_ids)]
    place = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([place[key] for key in keys], dtype=np.int64)


def joined_names(parts: Sequence[PolicyData]) -> tuple[str, ...]:
    """Return the arms of all parts, each once, in order of first appearance.

    Raises:
        ValueError: if there is no part, or parts differ in context size or encoder.
    """
    if not parts:
        raise ValueError("concat needs at least one part, got none")
    for part in parts:
        if part.n_features != parts[0].n_features:
            raise ValueError(f"parts must share a context size, got {parts[0].n_features} and {part.n_features}")
        if part.encoder != parts[0].encoder:
            raise ValueError(f"parts must share a context encoder, got {parts[0].encoder} and {part.encoder}")
    return tuple(dict.fromkeys(name for part in parts for name in part.arm_names))


def joined_labels(
    parts: Sequence[PolicyData], values: Sequence[tuple[str | None, ...] | None]
) -> tuple[str | None, ...] | None:
    """Return the labels of all parts, None for the rows of a part that has none."""
    if all(value is None for value in values):
        return None
    pairs = zip(parts, values, strict=True)
    return tuple(x for part, value in pairs for x in (value if value is not None else (None,) * len(part)))


def fixed_lists(array: np.ndarray) -> pa.Array:
    """Return (n, m) as an Arrow column of lists of m."""
    return pa.FixedSizeListArray.from_arrays(pa.array(array.reshape(-1)), array.shape[1])


def rows_of(table: pa.Table, name: str) -> np.ndarray | None:
    """Return a column as an array, (n, m) when it holds lists; None when the table lacks it."""
    if name not in table.column_names:
        return None
    column = table.column(name).combine_chunks()
    if pa.types.is_fixed_size_list(column.type):
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return cast("np.ndarray", flat.reshape(len(column), column.type.list_size))
    return cast("np.ndarray", column.to_numpy(zero_copy_only=False))


def required_rows(table: pa.Table, name: str) -> np.ndarray:
    """Return `rows_of` a column that must be there.

    Raises:
        ValueError: if the table lacks it.
    """
    rows = rows_of(table, name)
    if rows is None:
        raise ValueError(f"the column {name!r} is missing; there are {', '.join(table.column_names)}")
    return rows


def labels_of(table: pa.Table, name: str) -> tuple[str | None, ...] | None:
    """Return a text column as a tuple; None when the table lacks it."""
    return tuple(table.column(name).to_pylist()) if name in table.column_names else None


def chosen_rows(rows: ArrayLike, n_rows: int) -> checks.Int64:
    """Return a mask or indices as indices; refuse an empty choice and indices outside the data."""
    array = np.asarray(rows)
    if array.dtype == np.bool_:
        array = np.flatnonzero(checks.vector(array, "rows (a mask)", np.bool_, n_rows))
    if array.size == 0:
        raise ValueError("subset must keep at least one row, got none")
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"rows must be a boolean mask or a list of indices, got dtype {array.dtype}")
    if array.min() < -n_rows or array.max() >= n_rows:
        raise ValueError(f"rows must be below {n_rows}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def chosen_labels(values: tuple[str | None, ...] | None, rows: checks.Int64) -> tuple[str | None, ...] | None:
    """Return the labels of the chosen rows."""
    return None if values is None else tuple(values[row] for row in rows.tolist())


def write_part(folder: str | Path, data: PolicyData, part_index: int) -> Path:
    """Write `data` as part `part_index` of `folder`, atomically; a part of the same index is replaced.

    A collection that goes on where it was stopped asks `part_indices(folder)` which parts are there.
    """
    return data.write_part(folder, part_index)
