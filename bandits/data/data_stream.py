"""The rows of a folder of part files, a batch at a time, so that data may be larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import pyarrow as pa

from bandits.data import parquet_parts

if TYPE_CHECKING:
    from bandits.data.policy_data import PolicyData

AnyData = TypeVar("AnyData", bound="PolicyData")


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
