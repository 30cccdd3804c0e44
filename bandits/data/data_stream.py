"""Rows on disk that are read in batches of bounded size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, Self, TypeVar, cast

import pyarrow as pa

from bandits import checks
from bandits.data.closed_folder import Manifest, closed_manifest, read_closed, read_headers
from bandits.encoders.encoder import encoder_mismatch


class StoredRows(Protocol):
    """Data that are made from a table, part by part."""

    kind: ClassVar[str]

    @classmethod
    def from_table(cls, table: pa.Table, header: dict[str, object]) -> Self:
        """Return the rows of a table that a part file holds."""

    def with_arms(self, arm_names: Sequence[str]) -> Self:
        """Return the same rows with these arms in this order."""


AnyData = TypeVar("AnyData", bound=StoredRows)
Held = TypeVar("Held", bound=StoredRows, covariant=True)


@dataclass(frozen=True, slots=True)
class DataStream(Generic[Held]):
    """Rows of `LoggedData` or `FullInformationData` on disk; iterating yields batches, as often as wanted.

    What stands here is read from the files' headers, without a row. A batch holds at most `batch_rows` rows,
    and while one is read its row group (at most 16,384 rows of a part that draftpick wrote) is in memory besides;
    None yields one part file at a time. Each part's digest is compared with the manifest's before its rows are read.

    Attributes:
        data_class: `LoggedData` or `FullInformationData`.
        folder: of the part files.
        manifest: that closed the folder.
        batch_rows: most rows of a batch, or None.
        arm_names: the arms of all parts, in order of first appearance; every batch holds them in this order.
        n_features: d, the size of a context.
        n_rows: in all parts.
        encoder: name of the context encoder, or None.
    """

    data_class: type[Held]
    folder: Path
    manifest: Manifest
    batch_rows: int | None
    arm_names: tuple[str, ...]
    n_features: int
    n_rows: int
    encoder: str | None

    def __iter__(self) -> Iterator[Held]:
        """Yield the rows in order, with all arms of the folder.

        Raises:
            FolderRewrittenError: if the folder was made anew since the stream was opened.
            ValueError: if a part is missing, damaged or of another run, or a row breaks a rule.
        """
        for path, table, header in read_closed(self.folder, self.manifest, self.batch_rows):
            try:
                data = self.data_class.from_table(table, header)
            except (LookupError, TypeError, ValueError, OverflowError, RecursionError, pa.ArrowException) as error:
                raise ValueError(f"{path}: {error}") from error
            yield data.with_arms(self.arm_names)


def open_stream(data_class: type[AnyData], folder: str | Path, batch_rows: int | None = None) -> DataStream[AnyData]:
    """Read the headers of a closed folder's part files.

    Raises:
        FileNotFoundError: if the folder is missing or holds no part.
        ValueError: if it is not closed; or a part is missing, foreign, unreadable, of another kind, or of another
            context size or encoder than the first.
    """
    return stream_of(data_class, folder, closed_manifest(folder, data_class.kind), batch_rows)


def stream_of(
    data_class: type[AnyData], folder: str | Path, manifest: Manifest, batch_rows: int | None = None
) -> DataStream[AnyData]:
    """Return the stream of the parts that a manifest lists; see `open_stream`."""
    if batch_rows is not None:
        checks.at_least(batch_rows, 1, "batch_rows")
    arm_names: dict[str, None] = {}
    first: tuple[Path, tuple[int, str | None]] | None = None
    for path, schema, _, header in read_headers(folder, manifest):
        _check_header(path, header)
        made = _n_features(path, schema), cast("str | None", header.get("encoder"))
        first = first or (path, made)
        check_same_contexts(str(path), made, str(first[0]), first[1])
        arm_names |= dict.fromkeys(cast("list[str]", header["arm_names"]))
    if first is None:
        raise ValueError(f"{folder} is closed without a part: write it again")
    n_rows = sum(part.n_rows for part in manifest.parts)
    return DataStream(
        data_class, Path(folder), manifest, batch_rows, tuple(arm_names), first[1][0], n_rows, first[1][1]
    )


def check_same_contexts(
    part: str, made: tuple[int, str | None], first: str, first_made: tuple[int, str | None]
) -> None:
    """Refuse parts whose contexts, (size, encoder), differ; here an unknown encoder is one of its own."""
    if made[0] != first_made[0]:
        raise ValueError(f"parts must share a context size: {part} has {made[0]} features, {first} has {first_made[0]}")
    if made[1] != first_made[1]:
        raise encoder_mismatch(part, made[1], first, first_made[1])


def _check_header(path: Path, header: dict[str, object]) -> None:
    """Refuse a header whose arms or encoder are no names."""
    rules = {"arm_names": _are_texts(header.get("arm_names")), "encoder": _is_text_or_none(header.get("encoder"))}
    for name, holds in rules.items():
        if not holds:
            raise ValueError(f"{path} has a damaged header ({name}: {header.get(name)!r:.80}): delete it and run again")


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


def _is_text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _n_features(path: Path, schema: Any) -> int:
    index = schema.get_field_index("context")
    if index < 0 or not pa.types.is_fixed_size_list(schema.field(index).type):
        raise ValueError(f"{path} has no column 'context' of fixed size: delete it and run again")
    return int(schema.field(index).type.list_size)
