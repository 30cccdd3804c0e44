"""From columns of a table to a context vector: the levels of a text column are fixed once, and known by name after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, Self

import numpy as np

from bandits import checks
from bandits.checks import Float64

Unknown = Literal["refuse", "own_column"]
_PREFIX = "columns:"
_LEVELS_SHOWN = 5  # in an error


@dataclass(frozen=True, slots=True)
class ColumnFeatures:
    """Which columns of a table make the features, and which levels a text column has.

    A column of numbers is one feature; a column of text is one 0/1 feature a level, and with `unknown` "own_column" one
    more for every other level. Data and policies are marked with `name`, which tells all of this: `of_name` reads it.

    Attributes:
        levels: for each column, in order, its levels; None is a column of numbers.
        unknown: what becomes of a level that is none of these.
    """

    levels: Mapping[str, tuple[str, ...] | None]
    unknown: Unknown = "refuse"

    def __post_init__(self) -> None:
        if self.unknown not in ("refuse", "own_column"):
            raise ValueError(f"unknown must be 'refuse' or 'own_column', got {self.unknown!r}")
        if not self.levels:
            raise ValueError("levels must name at least one column, got none")
        for name, known in self.levels.items():
            checks.check_order(known, f"the levels of {name!r}")

    @classmethod
    def fit(cls, columns: Mapping[str, Sequence[str] | Float64], unknown: Unknown = "refuse") -> Self:
        """Take the levels, sorted, of each column that holds text."""
        return cls({name: _levels(values) for name, values in columns.items()}, unknown)

    @classmethod
    def of_name(cls, name: str | None) -> Self | None:
        """Return the features that mark their data with this name, alone or beside an encoder's; None without any."""
        described = _divided(name)[1]
        if described is None:
            return None
        try:
            unknown, levels = json.loads(described)
            return cls({key: None if found is None else tuple(found) for key, found in levels}, unknown)
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"{name!r:.80} does not name features of columns: {error}") from error

    @property
    def name(self) -> str:
        """Return what data of these features are marked with."""
        return _PREFIX + json.dumps([self.unknown, list(self.levels.items())], separators=(",", ":"))

    @property
    def parts(self) -> dict[str, range]:
        """Return the features of each column by its name."""
        widths = {
            name: 1 if levels is None else len(levels) + (self.unknown == "own_column")
            for name, levels in self.levels.items()
        }
        ends = accumulate(widths.values())
        return {name: range(end - width, end) for (name, width), end in zip(widths.items(), ends, strict=True)}

    def beside(self, encoder: str) -> str:
        """Return what data are marked with whose rows are an encoder's features and then these."""
        return f"{encoder}+{self.name}"

    def encode_columns(self, columns: Mapping[str, Sequence[str] | Float64]) -> Float64:
        """Return the features.

        Args:
            columns: n values for each column of `levels`; others are not read.

        Returns:
            (n, d) float64.

        Raises:
            ValueError: if a column is missing, holds text for numbers or numbers for text, or an unknown level.
        """
        return np.concatenate([self._features(name, columns) for name in self.levels], axis=1)

    def _features(self, name: str, columns: Mapping[str, Sequence[str] | Float64]) -> Float64:
        levels = self.levels[name]
        if name not in columns:
            raise ValueError(f"the context column {name!r} is missing; there are {', '.join(columns)}")
        values = columns[name]
        if isinstance(values, np.ndarray) != (levels is None):
            wanted, got = ("numbers", "text") if levels is None else ("text", "numbers")
            raise ValueError(f"column {name!r} must hold {wanted}, as where its features were fixed, got {got}")
        if isinstance(values, np.ndarray):
            return values[:, None]
        place = {level: index for index, level in enumerate(levels or ())}
        found = np.array([place.get(value, len(place)) for value in values], dtype=np.int64)
        if self.unknown == "refuse" and (found == len(place)).any():
            row = int(np.argmax(found == len(place)))
            raise ValueError(
                f"column {name!r} must hold one of the levels {', '.join(place)}: row {row} has {values[row]!r}; "
                "learn from data that have it, or with unknown levels in a column of their own (own_column)"
            )
        one_hot: Float64 = np.eye(len(place) + 1)[found]
        return one_hot if self.unknown == "own_column" else one_hot[:, :-1]


def names_of_frame(contexts: object) -> list[object]:
    """Return the names of a data frame's columns; none where it is no data frame."""
    columns = getattr(contexts, "columns", None)
    return [] if columns is None else list(columns)


def names_of_row(context: object) -> list[object]:
    """Return the names of a data frame's columns that label one of its rows; none where it is no such row."""
    index = getattr(context, "index", None)
    return [] if index is None or callable(index) or not hasattr(context, "dtype") else list(index)


def mark_of_names(names: Sequence[object]) -> str | None:
    """Return what rows of a data frame of numbers are marked with: its columns in their order.

    None where they are no names, or one is there twice.
    """
    texts = [name for name in names if isinstance(name, str)]
    named = bool(texts) and len(texts) == len(names) == len(set(texts))
    return ColumnFeatures(dict.fromkeys(texts)).name if named else None


def check_names(names: Sequence[object], mark: str | None) -> None:
    """Reject columns that are not those, or not in the order, that a policy learned from.

    Args:
        names: of the columns that the policy is asked about; none of plain arrays, which pass.
        mark: of the policy's data.

    Raises:
        ValueError: naming both.
    """
    encoder, described = _divided(mark)
    if encoder is not None or described is None:
        return
    own = mark_of_names(names)
    if own is not None and own != mark:
        raise ValueError(
            f"the policy learned from {shown(mark)}, the contexts have {shown(own)}: give them in that order"
        )


def encoder_beside(name: str | None) -> str | None:
    """Return the encoder that a mark of data tells of: its name alone, where columns stand beside its features."""
    return _divided(name)[0]


def shown(name: str | None) -> str:
    """Return a mark of data for people: an encoder's name as it is, columns with the first of their levels."""
    features = ColumnFeatures.of_name(name)
    if features is None:
        return repr(name)
    columns = (column if levels is None else _with_levels(column, levels) for column, levels in features.levels.items())
    alone = encoder_beside(name)
    return ("" if alone is None else f"{alone!r} beside ") + f"the columns {', '.join(columns)}"


def _divided(mark: str | None) -> tuple[str | None, str | None]:
    """Return the encoder's name in a mark of data and the JSON of its columns, None where there is none.

    `columns:` with no list after it is part of an encoder's own name.
    """
    if mark is None:
        return None, None
    if mark.startswith(f"{_PREFIX}["):
        return None, mark.removeprefix(_PREFIX)
    encoder, joint, rest = mark.partition(f"+{_PREFIX}[")
    return encoder or None, f"[{rest}" if joint else None


def _with_levels(column: str, levels: Sequence[str]) -> str:
    more = f" and {len(levels) - _LEVELS_SHOWN} more" if len(levels) > _LEVELS_SHOWN else ""
    return f"{column} ({', '.join(levels[:_LEVELS_SHOWN])}{more})"


def _levels(values: Sequence[str] | Float64) -> tuple[str, ...] | None:
    return None if isinstance(values, np.ndarray) else tuple(sorted(set(values)))
