"""What LoggedData and FullInformationData share: declared columns, names of arms, a folder of Parquet parts."""

from __future__ import annotations

import copy
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from arms.atomic_file import claim_file
from bandits import checks
from bandits.checks import Float64, Int64
from bandits.data import parquet_parts
from bandits.data.closed_folder import FolderRewrittenError, Manifest, close_folder, survey
from bandits.data.columns import Column, chosen_rows
from bandits.data.data_stream import DataStream, check_same_contexts, open_stream, stream_of
from bandits.data.feedback import Feedback

_ARMS_SHOWN = 8  # in a repr
_ATTEMPTS = 3  # to read a folder that is being made anew


class PolicyData(ABC):
    """Rows that a policy can learn from; see `LoggedData` and `FullInformationData`.

    A subclass is a frozen dataclass that lists its row-wise fields once, in `columns`; choosing rows and arms,
    joining parts, and life on disk follow from that.

    Attributes:
        kind: what a part file says it holds.
        columns: the row-wise fields; the first ones, up to `n_required`, are in all data.
        marks: names of boolean fields that are true of joined data if they are of any part.
        origins: names of fields that hold digests of what the data were made with; joined data have those of all parts.
        contexts: (n, d) float32.
        arm_names: the k arms, in column (or action) order.
        encoder: name of the context encoder that made `contexts`, or None.
        query_ids: a label a row, or None.
        domains: a label a row, or None.
        times: (n,) float64, seconds, or None.
    """

    kind: ClassVar[str]
    columns: ClassVar[tuple[Column[Any], ...]]
    n_required: ClassVar[int]
    marks: ClassVar[tuple[str, ...]] = ()
    origins: ClassVar[tuple[str, ...]] = ()
    contexts: checks.Float32
    arm_names: tuple[str, ...]
    encoder: str | None
    query_ids: tuple[str | None, ...] | None
    domains: tuple[str | None, ...] | None
    times: Float64 | None

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
        return cls._joined(list(parts))

    @classmethod
    def _joined(cls, all_parts: list[Self]) -> Self:
        wanted = _joined_names(all_parts)
        aligned = [part.with_arms(wanted) for part in all_parts]
        lengths = [len(part) for part in aligned]
        values: dict[str, Any] = {
            column.name: column.joined([getattr(part, column.name) for part in aligned], lengths, len(wanted))
            for column in cls.columns
        }
        values |= {mark: any(getattr(part, mark) for part in aligned) for mark in cls.marks}
        for name in cls.origins:
            values[name] = tuple(dict.fromkeys(origin for part in aligned for origin in getattr(part, name)))
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
        values |= {mark: header.get(mark, False) for mark in cls.marks}
        values |= {name: tuple(cast("list[str]", header.get(name, ()))) for name in cls.origins}
        return cls._checked(arm_names=names, encoder=header["encoder"], **values)

    def write_part(self, folder: str | Path, part_index: int, *, generation: int = 1) -> Path:
        """Write these rows as part `part_index` of `folder`, atomically; a part of the same index is replaced.

        A collection that goes on where it was stopped asks `part_indices(folder)` which parts are there. Once all
        are, `close_folder` makes them data that can be loaded.

        Args:
            folder: made if it is missing.
            part_index: 0, 1, 2, ...
            generation: 1, or one more than that of the manifest that the next `close_folder` is to replace.

        Raises:
            ValueError: if that generation is closed already.
        """
        closed = Manifest.read(folder)
        if closed is not None and closed.generation >= generation:
            raise ValueError(
                f"{folder} is closed, and holds {len(closed.parts)} part(s) of {closed.kind}: choose another folder"
            )
        present = ((column, getattr(self, column.name)) for column in self.columns)
        table = pa.table({c.file_name: c.to_arrow(values) for c, values in present if values is not None})
        header: dict[str, object] = {
            "kind": self.kind,
            "arm_names": list(self.arm_names),
            "encoder": self.encoder,
            **{name: getattr(self, name) for name in self.marks + self.origins},
        }
        return parquet_parts.write_table(folder, part_index, table, header, generation)

    @classmethod
    def close_folder(
        cls, folder: str | Path, *, made_of: Mapping[str, object] | None = None, generation: int = 1
    ) -> None:
        """Close a folder of parts that `write_part` wrote: its data can be loaded from now on, and no part added.

        Args:
            folder: holds parts 0, 1, 2, ... without a gap.
            made_of: digests of what the data were made of, as JSON values; kept in the manifest.
            generation: of the parts.

        Raises:
            FileNotFoundError: if there is no part.
            ValueError: if a part is missing, foreign, damaged, of another kind, or does not fit the others.
        """
        manifest = survey(folder, cls.kind, made_of=made_of, generation=generation)
        stream_of(cls, folder, manifest)
        close_folder(folder, manifest)

    def save(self, folder: str | Path) -> None:
        """Write the rows as the only part of `folder`, and close it.

        Raises:
            ValueError: if the folder holds part files already.
        """
        first = parquet_parts.part_path(folder, 0)
        if parquet_parts.part_indices(folder) or Manifest.read(folder) is not None or not claim_file(first):
            raise ValueError(f"{folder} holds part files already: choose another folder")
        try:
            self.write_part(folder, 0)
        except BaseException:
            first.unlink()
            raise
        self.close_folder(folder)

    @classmethod
    def stream(cls, folder: str | Path, batch_rows: int | None = None) -> DataStream[Self]:
        """Return the rows of `folder` to iterate a part, or at most `batch_rows` rows, at a time.

        A log may so be larger than memory: `policy.fit_stream(LoggedData.stream(folder, 10_000))`.
        """
        return open_stream(cls, folder, batch_rows)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return all rows of a closed folder; of one that is made anew meanwhile, the old rows or the new, never both.

        Raises:
            FileNotFoundError: if the folder is missing or holds no part.
            ValueError: if it is not closed, or a part is missing, foreign, doubled, damaged, of another run or of
                another kind.
        """
        for _ in range(_ATTEMPTS - 1):
            try:
                return cls._joined(list(cls.stream(folder)))
            except FolderRewrittenError:
                continue
        return cls._joined(list(cls.stream(folder)))

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


def _joined_names(parts: Sequence[PolicyData]) -> tuple[str, ...]:
    """Return the arms of all parts, each once, in order of first appearance."""
    if not parts:
        raise ValueError("concat needs at least one part, got none")
    first = parts[0]
    for number, part in enumerate(parts):
        check_same_contexts(
            f"part {number}", (part.n_features, part.encoder), "part 0", (first.n_features, first.encoder)
        )
    return tuple(dict.fromkeys(name for part in parts for name in part.arm_names))
