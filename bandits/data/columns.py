"""One column of a data set: how its rows are chosen and joined, how it follows the arms, and how it is stored."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import numpy as np
import pyarrow as pa

from arms import Observation
from bandits import checks
from bandits.checks import Int64

Labels = tuple[str | None, ...]
ObservationRow = tuple[Observation | None, ...]
Values = TypeVar("Values")


@dataclass(frozen=True, slots=True)
class Column(ABC, Generic[Values]):
    """A row-wise attribute of a data set. A class of data lists its columns once, and all else follows.

    Attributes:
        name: of the attribute.
        stored_as: its name in a part file; None is `name`.
    """

    name: str
    stored_as: str | None = None

    @property
    def file_name(self) -> str:
        """Return the column's name in a part file."""
        return self.stored_as or self.name

    @abstractmethod
    def take(self, values: Values, rows: Int64) -> Values:
        """Return the rows with these indices."""

    @abstractmethod
    def join(self, parts: Sequence[Values]) -> Values:
        """Return the rows of all parts, one after the other."""

    @abstractmethod
    def to_arrow(self, values: Values) -> pa.Array:
        """Return the column as a part file holds it."""

    @abstractmethod
    def from_arrow(self, column: pa.Array) -> Values:
        """Return what `to_arrow` was given."""

    def blank(self, n_rows: int, n_arms: int) -> Values | None:
        """Return what a data set without this column means by that; None where nothing stands for it."""
        return None

    def in_arms(self, values: Values | None, places: Sequence[int], shape: tuple[int, int]) -> Values | None:
        """Return the column for other arms.

        Args:
            values: the column, or None where the data have none.
            places: for each new arm, its index among the present ones, or -1.
            shape: (rows, present arms).
        """
        return values

    def joined(self, parts: Sequence[Values | None], lengths: Sequence[int], n_arms: int) -> Values | None:
        """Return `join` of all parts, blank where a part has no such column; None where no part has.

        Raises:
            ValueError: if some parts have the column, others do not, and nothing stands for it.
        """
        present = [part for part in parts if part is not None]
        if not present:
            return None
        filled = [
            part if part is not None else self.blank(length, n_arms)
            for part, length in zip(parts, lengths, strict=True)
        ]
        if any(part is None for part in filled):
            raise ValueError(f"parts must all have {self.name} or none of them, got {len(present)} of {len(parts)}")
        return self.join(cast("list[Values]", filled))


@dataclass(frozen=True, slots=True)
class Numbers(Column[np.ndarray]):
    """An array, one entry or one list of entries a row."""

    def take(self, values: np.ndarray, rows: Int64) -> np.ndarray:
        """Return the rows with these indices."""
        return values[rows]

    def join(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the parts' rows in one array."""
        return np.concatenate(parts)

    def to_arrow(self, values: np.ndarray) -> pa.Array:
        """Return (n,) as numbers, (n, m) as lists of m."""
        flat = pa.array(values.reshape(-1))
        return flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])

    def from_arrow(self, column: pa.Array) -> np.ndarray:
        """Return numbers as (n,), lists of m as (n, m)."""
        if not pa.types.is_fixed_size_list(column.type):
            return cast("np.ndarray", column.to_numpy(zero_copy_only=False))
        flat = column.flatten().to_numpy(zero_copy_only=False)
        return cast("np.ndarray", flat.reshape(len(column), column.type.list_size))


@dataclass(frozen=True, slots=True)
class PerArm(Numbers):
    """An (n, k) array with a column an arm.

    Attributes:
        of_new_arm: entry of an arm that the data did not know.
        all_true: whether data without the column mean that it is true everywhere.
    """

    of_new_arm: float | bool = float("nan")
    all_true: bool = False

    def blank(self, n_rows: int, n_arms: int) -> np.ndarray | None:
        """Return all true where that is what no column means."""
        return np.ones((n_rows, n_arms), np.bool_) if self.all_true else None

    def in_arms(self, values: np.ndarray | None, places: Sequence[int], shape: tuple[int, int]) -> np.ndarray | None:
        """Return the columns of the new arms; None stays None while all arms were known."""
        if values is None and min(places) < 0:
            values = self.blank(*shape)
        if values is None:
            return None
        index = np.array(places)
        return np.where(index >= 0, values[:, index], self.of_new_arm)


@dataclass(frozen=True, slots=True)
class Actions(Numbers):
    """(n,) int64 indices of arms."""

    def in_arms(self, values: np.ndarray | None, places: Sequence[int], shape: tuple[int, int]) -> np.ndarray | None:
        """Return the new arms' indices; every arm that was taken is among them."""
        if values is None:
            return None
        new_of_old = np.full(shape[1], -1, dtype=np.int64)
        for new, old in enumerate(places):
            if old >= 0:
                new_of_old[old] = new
        result: Int64 = new_of_old[values]
        return result


@dataclass(frozen=True, slots=True)
class Texts(Column[Labels]):
    """A label a row, or None."""

    def blank(self, n_rows: int, n_arms: int) -> Labels:
        """Return no label on any row."""
        return (None,) * n_rows

    def take(self, values: Labels, rows: Int64) -> Labels:
        """Return the rows with these indices."""
        return tuple(values[row] for row in rows.tolist())

    def join(self, parts: Sequence[Labels]) -> Labels:
        """Return the parts' labels in one tuple."""
        return tuple(label for part in parts for label in part)

    def to_arrow(self, values: Labels) -> pa.Array:
        """Return text."""
        return pa.array(values, pa.string())

    def from_arrow(self, column: pa.Array) -> Labels:
        """Return a tuple."""
        return tuple(column.to_pylist())


@dataclass(frozen=True, slots=True)
class Observations(Column[tuple[ObservationRow, ...]]):
    """A row of observations, one an arm, stored as JSON in which a text that several share stands once."""

    def take(self, values: tuple[ObservationRow, ...], rows: Int64) -> tuple[ObservationRow, ...]:
        """Return the rows with these indices."""
        return tuple(values[row] for row in rows.tolist())

    def join(self, parts: Sequence[tuple[ObservationRow, ...]]) -> tuple[ObservationRow, ...]:
        """Return the parts' rows in one tuple."""
        return tuple(row for part in parts for row in part)

    def in_arms(
        self, values: tuple[ObservationRow, ...] | None, places: Sequence[int], shape: tuple[int, int]
    ) -> tuple[ObservationRow, ...] | None:
        """Return the observations of the new arms, None where there was none."""
        return values and tuple(tuple(row[i] if i >= 0 else None for i in places) for row in values)

    def to_arrow(self, values: tuple[ObservationRow, ...]) -> pa.Array:
        """Return a JSON text a row."""
        return pa.array([_packed(row) for row in values], pa.string())

    def from_arrow(self, column: pa.Array) -> tuple[ObservationRow, ...]:
        """Return the observations, checked anew."""
        return tuple(_unpacked(text) for text in column.to_pylist())


def _packed(row: ObservationRow) -> str:
    """Return a row as JSON that holds each text once: the arms of one query share the target's."""
    places: dict[object, int] = {}
    records = [
        None if o is None else _with_texts(o.to_dict(), lambda text: places.setdefault(text, len(places))) for o in row
    ]
    return json.dumps({"texts": list(places), "observations": records})


def _unpacked(packed: str) -> ObservationRow:
    stored = json.loads(packed)
    texts = stored["texts"]
    return tuple(
        None if record is None else Observation.from_dict(_with_texts(record, lambda place: texts[place]))
        for record in stored["observations"]
    )


def _with_texts(record: Mapping[str, object], change: Callable[[Any], object]) -> dict[str, object]:
    """Return an observation's record, `change` applied to its texts and its reference's."""
    result = dict(record)
    for key, value in record.items():
        if isinstance(value, Mapping):
            result[key] = _with_texts(value, change)
        elif key in ("text", "own_text") and value is not None:
            result[key] = change(value)
    return result


def chosen_rows(rows: object, n_rows: int) -> Int64:
    """Return a mask or indices as indices; refuse an empty choice and indices outside the data."""
    checks.check_unmasked(rows, "rows")
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
