"""What LoggedData and FullInformationData share: declared columns, names of arms, a folder of Parquet parts."""

from __future__ import annotations

import copy
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Float64, Int64
from bandits.data import parquet_parts
from bandits.data.columns import Column, chosen_rows
from bandits.data.feedback import Feedback
from bandits.encoders.encoder import encoder_mismatch

AnyData = TypeVar("AnyData", bound="PolicyData")

_ARMS_SHOWN = 8  # in a repr


class PolicyData(ABC):
    """Rows that a policy can learn from; see `LoggedData` and `FullInformationData`.

    A subclass is a frozen dataclass that lists its row-wise fields once, in `columns`; choosing rows and arms,
    joining parts, and life on disk follow from that.

    Attributes:
        kind: what a part file says it holds.
        columns: the row-wise fields; the first ones, up to `n_required`, are in all data.
        marks: names of boolean fields that are true of joined data if they are of any part.
        contexts: (n, d) float32.
        arm_names: the k arms, in column (or action) order.
        encoder: name of the context encoder that made `contexts`, or None.
        query_ids: a label a row, or None.
        domains: a label a row, or None.
    """

    kind: ClassVar[str]
    columns: ClassVar[tuple[Column[Any], ...]]
    n_required: ClassVar[int]
    marks: ClassVar[tuple[str, ...]] = ()
    contexts: checks.Float32
    arm_names: tuple[str, ...]
    encoder: str | None
    query_ids: tuple[str | None, ...] | None
    domains: tuple[str | None, ...] | None

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.contexts)

    def __repr__(self) -> str:
        """Return sizes, arms, the optional columns that are there, and the encoder; never contents."""
        names = list(self.arm_names[:_ARMS_SHOWN]) + ["..."] * (self.n_arms > _ARMS_SHOWN)
        extra = [column.name for column in self.columns[self.n_required :] if getattr(self, column.name) is not None]
        marked = [mark for mark in self.marks if getattr(self, mark)]
        parts = [
            f"{len(self)} rows",
            f"{self.n_features} features",
            f"{self.n_arms} arms: {', '.join(names)}",
            f"encoder: {self.encoder}",
            *([f"with {', '.join(extra)}"] if extra else []),
            *marked,
        ]
        return f"{self.kind}({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        """Return the repr and a table of the arms, for a notebook."""
        counts, means = self._arm_summary()
        rows = "".join(
            f"<tr><td>{html.escape(name)}</td><td>{count:,}</td><td>{mean:.4g}</td></tr>"
            for name, count, mean in zip(self.arm_names, counts.tolist(), means.tolist(), strict=True)
        )
        head = "<tr><th>arm</th><th>rows</th><th>mean reward</th></tr>"
        return f"<p>{html.escape(repr(self))}</p><table><thead>{head}</thead><tbody>{rows}</tbody></table>"

    @abstractmethod
    def _arm_summary(self) -> tuple[Int64, Float64]:
        """Return for each arm (k,) the number of rows that show its reward, and the mean of these (NaN of none)."""

    @property
    def n_features(self) -> int:
        """Return d, the size of a context."""
        return int(self.contexts.shape[1])

    @property
    def n_arms(self) -> int:
        """Return k, the number of arms."""
        return len(self.arm_names)

    def _store(self, values: dict[str, Any]) -> None:
        """Set fields of frozen data to checked values, arrays as read-only views; the one place that may."""
        for name, value in values.items():
            object.__setattr__(self, name, checks.frozen(value) if isinstance(value, np.ndarray) else value)

    def _derived(self, values: dict[str, Any]) -> Self:
        """Return a copy with some fields replaced by what is known to be valid: nothing is checked again."""
        result = copy.copy(self)
        result._store(values)
        return result

    @abstractmethod
    def feedback(self) -> Feedback:
        """Return the known rewards as columns, whatever the kind of data."""

    def subset(self, rows: ArrayLike) -> Self:
        """Return the rows that a boolean mask or indices name."""
        index = chosen_rows(rows, len(self))
        present = ((column, getattr(self, column.name)) for column in self.columns)
        return self._derived({c.name: c.take(values, index) for c, values in present if values is not None})

    def with_arms(self, arm_names: Sequence[str]) -> Self:
        """Return the same rows with these arms in this order; every arm of the data must be among them.

        An arm that is new to the data was not available (in a log), or not observed.
        """
        wanted, places = self._arm_places(arm_names, strict=True)
        return self if wanted == self.arm_names else self._in_arms(wanted, places)

    @abstractmethod
    def select_arms(self, arm_names: Sequence[str]) -> Self:
        """Return what the data say about these arms only, in this order."""

    def _in_arms(self, wanted: tuple[str, ...], places: list[int]) -> Self:
        shape = len(self), self.n_arms
        values = {column.name: column.in_arms(getattr(self, column.name), places, shape) for column in self.columns}
        return self._derived({"arm_names": wanted, **values})

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Return the rows of all parts, one after the other.

        Arms are joined by name. An optional column is in all parts or in none, except labels, and what is true of
        every arm where it is not stated.

        Raises:
            ValueError: if there is no part, or parts differ in context size, encoder or columns.
        """
        all_parts = list(parts)
        wanted = _joined_names(all_parts)
        aligned = [part.with_arms(wanted) for part in all_parts]
        lengths = [len(part) for part in aligned]
        values: dict[str, Any] = {
            column.name: column.joined([getattr(part, column.name) for part in aligned], lengths, len(wanted))
            for column in cls.columns
        }
        values |= {mark: any(getattr(part, mark) for part in aligned) for mark in cls.marks}
        return cls._checked(arm_names=wanted, encoder=aligned[0].encoder, **values)

    @classmethod
    def _checked(cls, **values: Any) -> Self:
        """Return data of these fields, checked by the constructor."""
        return cast("Callable[..., Self]", cls)(**values)

    @classmethod
    def from_table(cls, table: pa.Table, header: dict[str, object]) -> Self:
        """Return the rows of a table that a part file holds.

        Raises:
            ValueError: if a column that all data have is missing, or a value breaks its rule.
        """
        values: dict[str, Any] = {}
        for place, column in enumerate(cls.columns):
            if column.file_name in table.column_names:
                values[column.name] = column.from_arrow(table.column(column.file_name).combine_chunks())
            elif place < cls.n_required:
                known = ", ".join(table.column_names)
                raise ValueError(f"the column {column.file_name!r} is missing; there are {known}")
        names = tuple(cast("list[str]", header["arm_names"]))
        marks = {mark: bool(header.get(mark, False)) for mark in cls.marks}
        return cls._checked(arm_names=names, encoder=header["encoder"], **values, **marks)

    def write_part(self, folder: str | Path, part_index: int) -> Path:
        """Write these rows as part `part_index` of `folder`, atomically; a part of the same index is replaced.

        A collection that goes on where it was stopped asks `part_indices(folder)` which parts are there.
        """
        present = ((column, getattr(self, column.name)) for column in self.columns)
        table = pa.table({c.file_name: c.to_arrow(values) for c, values in present if values is not None})
        header: dict[str, object] = {
            "kind": self.kind,
            "arm_names": list(self.arm_names),
            "encoder": self.encoder,
            **{mark: getattr(self, mark) for mark in self.marks},
        }
        return parquet_parts.write_table(folder, part_index, table, header)

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

    def _arm_places(self, arm_names: Sequence[str], *, strict: bool) -> tuple[tuple[str, ...], list[int]]:
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
            except (LookupError, TypeError, ValueError, pa.ArrowException) as error:
                raise ValueError(f"{path}: {error}") from error
            yield data.with_arms(self.arm_names)


def open_stream(data_class: type[AnyData], folder: str | Path, batch_rows: int | None) -> DataStream[AnyData]:
    """Read the headers of a folder's part files.

    Raises:
        FileNotFoundError: if the folder is missing or holds no part.
        ValueError: if a part is unreadable, of another kind, or of another context size or encoder than the
            first.
    """
    if batch_rows is not None:
        checks.at_least(batch_rows, 1, "batch_rows")
    arm_names: dict[str, None] = {}
    n_rows = 0
    first: tuple[Path, tuple[int, str | None]] | None = None
    for path, schema, part_rows, header in parquet_parts.read_headers(folder, data_class.kind):
        names = header.get("arm_names")
        if not isinstance(names, list):
            raise ValueError(f"{path} has a damaged header (arm_names: {names!r}): delete it and run again")
        made = _n_features(path, schema), cast("str | None", header.get("encoder"))
        first = first or (path, made)
        _check_same_contexts(str(path), made, str(first[0]), first[1])
        arm_names |= dict.fromkeys(names)
        n_rows += part_rows
    if first is None:
        raise RuntimeError("read_headers must yield a part or raise")
    n_features, encoder = first[1]
    return DataStream(data_class, Path(folder), batch_rows, tuple(arm_names), n_features, n_rows, encoder)


def _n_features(path: Path, schema: Any) -> int:
    index = schema.get_field_index("context")
    if index < 0 or not pa.types.is_fixed_size_list(schema.field(index).type):
        raise ValueError(f"{path} has no column 'context' of fixed size: delete it and run again")
    return int(schema.field(index).type.list_size)


def _joined_names(parts: Sequence[PolicyData]) -> tuple[str, ...]:
    """Return the arms of all parts, each once, in order of first appearance."""
    if not parts:
        raise ValueError("concat needs at least one part, got none")
    first = parts[0]
    for number, part in enumerate(parts):
        _check_same_contexts(
            f"part {number}", (part.n_features, part.encoder), "part 0", (first.n_features, first.encoder)
        )
    return tuple(dict.fromkeys(name for part in parts for name in part.arm_names))


def _check_same_contexts(
    part: str, made: tuple[int, str | None], first: str, first_made: tuple[int, str | None]
) -> None:
    """Refuse parts whose contexts, (size, encoder), differ; here an unknown encoder is one of its own."""
    if made[0] != first_made[0]:
        raise ValueError(f"parts must share a context size: {part} has {made[0]} features, {first} has {first_made[0]}")
    if made[1] != first_made[1]:
        raise encoder_mismatch(part, made[1], first, first_made[1])
