"""The shape that every result has: rows by name, each a value with its interval; text, pandas, HTML and JSON."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, NoReturn, Protocol, Self, TypeVar

from arms.atomic_file import atomic_file
from arms.input_file import read_text
from arms.optional_import import optional_import
from bandits.statistics.estimate import Estimate
from bandits.statistics.table import Table

if TYPE_CHECKING:
    from pandas import DataFrame
    from pydantic import ValidationError

FORMAT_VERSION = 1


class ResultRow(Protocol):
    """What every row has; rows may carry more columns."""

    @property
    def name(self) -> str:
        """Return what the row is about: a policy, an arm, an estimator."""

    @property
    def value(self) -> float | None:
        """Return the figure that the result is about; None where there is none."""

    @property
    def interval(self) -> tuple[float, float]:
        """Return the lower and the upper bound of the value."""


Row = TypeVar("Row", bound=ResultRow)


class Results(ABC, Generic[Row]):
    """Rows by name: `result["LinUCB"].value`, `result["LinUCB"].interval`.

    A subclass is a frozen dataclass of plain values, tuples, dictionaries and dataclasses, and gives a `table`.

    Attributes:
        kind: what messages and files call the result.
        rows: in order.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[dict[str, object]] = {"strict": True, "extra": "forbid", "allow_inf_nan": False}
    kind: ClassVar[str]
    rows: tuple[Row, ...]

    @abstractmethod
    def table(self) -> Table:
        """Return the table that is shown, the conclusion below it."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return the rows' names, each once."""
        return tuple(dict.fromkeys(row.name for row in self.rows))

    def __getitem__(self, name: str) -> Row:
        """Return the (first) row of a name."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(self.names)}")

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        shown = ", ".join(f"{row.name} {_shown(row.value)}" for row in self.rows[:4])
        return f"<{type(self).__name__} of {len(self.rows)} rows: {shown}{', ...' if len(self.rows) > 4 else ''}>"

    def _repr_html_(self) -> str:
        return self.table().to_html()

    def to_text(self, width: int | None = None) -> str:
        """Return the table and what the reader must know, of at most `width` columns; None: the terminal's."""
        return self.table().to_text(width)

    def to_markdown(self) -> str:
        """Return the table and what the reader must know as Markdown."""
        return self.table().to_markdown()

    def to_pandas(self) -> DataFrame:
        """Return a DataFrame, one line a row: name, value, low, high, then the other columns.

        A column with an interval becomes three (`regret`, `regret_low`, `regret_high`), one by arm becomes one an arm
        (`arm_shares.no_draft`); what is no single figure or text is left out.

        Raises:
            ImportError: if pandas is not installed.
        """
        pandas = optional_import("pandas", "dev")
        frame: DataFrame = pandas.DataFrame([_plain_columns(row) for row in self.rows])
        return frame

    def to_json(self) -> str:
        """Return everything as JSON; `from_json` reads it back."""
        content: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        head = {"format_version": FORMAT_VERSION, "kind": self.kind}
        return json.dumps({**head, **content}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if the text is damaged, of another kind or from a newer version; names the field and the value.
        """
        from pydantic import TypeAdapter, ValidationError

        wrong = f"not a saved {cls.kind}"
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{wrong}: {error}") from error
        version = content.pop("format_version", None) if isinstance(content, dict) else None
        if type(version) is not int or version < 1:
            raise ValueError(f"{wrong}: format_version must be an integer >= 1, got {version!r}")
        if version > FORMAT_VERSION:
            raise ValueError(f"{wrong}: format version {version} is newer than {FORMAT_VERSION}: upgrade draftpick")
        kind = content.pop("kind", None)
        if kind != cls.kind:
            raise ValueError(f"{wrong}: its kind is {kind!r}, so load it with the class of that result")
        try:
            return TypeAdapter(cls).validate_json(json.dumps(content))
        except ValidationError as error:
            raise ValueError(f"{wrong}: {_first_fault(error)}") from error

    def save(self, path: str | Path) -> None:
        """Write the JSON to a file, atomically."""
        with atomic_file(Path(path)) as file:
            file.write(self.to_json().encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, of another kind or from a newer version.
        """
        try:
            return cls.from_json(read_text(path))
        except ValueError as error:
            raise ValueError(f"{path} is {error}") from error


def _shown(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _plain_columns(row: ResultRow) -> dict[str, object]:
    low, high = row.interval
    columns: dict[str, object] = {"name": row.name, "value": row.value, "low": low, "high": high}
    for field in fields(row):  # type: ignore[arg-type]  # every row is a dataclass
        content = getattr(row, field.name)
        if isinstance(content, Estimate):
            columns |= {field.name: content.value, f"{field.name}_low": content.low, f"{field.name}_high": content.high}
        elif isinstance(content, dict):
            columns |= {f"{field.name}.{key}": part for key, part in content.items()}
        elif field.name not in columns and isinstance(content, str | int | float):
            columns[field.name] = content
    return columns


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {name}")


def _first_fault(error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    where = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    shown = repr(faults[0]["input"])
    return f"{where}: {faults[0]['msg']}, got {shown[:60]}{'...' if len(shown) > 60 else ''}{more}"
