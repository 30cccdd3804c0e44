"""Results that are kept as JSON files: written whole, read back with every field checked."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Self

from pydantic import ConfigDict, TypeAdapter, ValidationError

from arms.atomic_file import atomic_file

FORMAT_VERSION = 1


class SavedResult:
    """A result that is kept as JSON; a subclass is a dataclass of plain values, tuples, dictionaries and dataclasses.

    Attributes:
        kind: what messages call the result.
    """

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    kind: ClassVar[str]

    def to_json(self) -> str:
        """Return everything as JSON; `from_json` reads it back."""
        fields: dict[str, Any] = asdict(self)  # type: ignore[call-overload]  # every subclass is a dataclass
        return json.dumps({"format_version": FORMAT_VERSION, **fields}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
            ValueError: if the text is damaged or from a newer version; names the field and the value.
        """
        wrong = f"not a saved {cls.kind}"
        try:
            content = json.loads(text, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{wrong}: {error}") from error
        version = content.pop("format_version", None) if isinstance(content, dict) else None
        if not isinstance(version, int) or version < 1:
            raise ValueError(f"{wrong}: format_version must be an integer >= 1, got {version!r}")
        if version > FORMAT_VERSION:
            raise ValueError(f"{wrong}: format version {version} is newer than {FORMAT_VERSION}: upgrade draftpick")
        try:
            return TypeAdapter(cls).validate_json(json.dumps(content))
        except ValidationError as error:
            raise ValueError(f"{wrong}: {_first_fault(error)}") from error

    def save(self, path: str | Path) -> None:
        """Write the JSON to a file, whole or not at all."""
        with atomic_file(Path(path)) as file:
            file.write(self.to_json().encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged or from a newer version.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is {error}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"numbers must be finite, got {name}")


def _first_fault(error: ValidationError) -> str:
    faults = error.errors(include_url=False)
    where = ".".join(str(part) for part in faults[0]["loc"])
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    shown = repr(faults[0]["input"])
    return f"{where}: {faults[0]['msg']}, got {shown[:60]}{'...' if len(shown) > 60 else ''}{more}"
