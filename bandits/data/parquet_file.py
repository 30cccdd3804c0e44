"""One Parquet file, written with page checksums and read with care: what is damaged or far too large is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from arms.input_file import check_is_file

ROW_GROUP_ROWS = 16_384  # rows that are in memory while a batch is read: 25 MB at 384 features
MOST_BYTES = 256 * 2**20  # that a file of any size may unfold to
MOST_GROWTH = 200  # times its size that a larger one may unfold to; real logs stay below 40
_BUFFER_BYTES = 65_536


def write_parquet(table: pa.Table, file: BinaryIO) -> None:
    """Write a table so that every page carries a checksum."""
    pq.write_table(table, file, row_group_size=ROW_GROUP_ROWS, write_page_checksum=True)


def open_parquet(path: Path, *, streamed: bool = False) -> pq.ParquetFile:
    """Open a file whose pages are verified as they are read.

    Args:
        path: of the file.
        streamed: read no further ahead than one buffer.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is a folder, pipe or device, or unreadable.
    """
    check_is_file(path)
    # pyarrow reads a whole file ahead by default, and a whole row group without a buffer
    settings = {"pre_buffer": False, "buffer_size": _BUFFER_BYTES} if streamed else {}
    try:
        file = pq.ParquetFile(path, page_checksum_verification=True, **settings)
        file.schema_arrow.names  # noqa: B018  read here, where a damaged name is caught
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error
    return file


def read_batches(path: Path, file: pq.ParquetFile, batch_rows: int | None = None) -> Iterator[pa.Table]:
    """Yield the rows of an open file, all at once or at most `batch_rows` at a time.

    Raises:
        ValueError: if a page is damaged, or what is held at once unfolds to more bytes than any file of its size does.
    """
    allowed = most_bytes(path.stat().st_size)
    n_rows = max(1, file.metadata.num_rows) if batch_rows is None else batch_rows
    row_bytes = sum(width(field.type) for field in file.schema_arrow)
    _check_size(path, min(n_rows, file.metadata.num_rows) * row_bytes, allowed)
    _check_size(path, max(_group_bytes(file), default=0), allowed)
    held: list[pa.RecordBatch] = []
    try:
        if batch_rows is None and all(width(field.type) for field in file.schema_arrow):
            yield file.read()  # checked already: no text that could be long
            return
        for batch in file.iter_batches(min(n_rows, _safe_rows(file, allowed))):
            held.append(batch)
            _check_size(path, sum(batch.nbytes for batch in held), allowed)
            if sum(map(len, held)) >= n_rows:
                table = pa.Table.from_batches(held)
                yield table.slice(0, n_rows)
                held = table.slice(n_rows).to_batches()
        if held or file.metadata.num_rows == 0:
            yield pa.Table.from_batches(held, file.schema_arrow)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable(path, error) from error


def most_bytes(n_bytes: int) -> int:
    """Return what a file or table of so many bytes may unfold to."""
    return max(MOST_BYTES, MOST_GROWTH * n_bytes)


def width(kind: pa.DataType) -> int:
    """Return the bytes of a value of fixed size, at least 1; 0 where values differ in size."""
    if pa.types.is_fixed_size_list(kind):
        return int(kind.list_size) * width(kind.value_type)
    try:
        return max(1, int(kind.bit_width) // 8)
    except ValueError:
        return 0


def unreadable(path: Path, error: Exception) -> ValueError:
    """Return the error of a file that cannot be read."""
    return ValueError(
        f"{path} is unreadable or half-written ({error}): delete it and run the command that wrote it again"
    )


def _check_size(path: Path, n_bytes: int, allowed: int) -> None:
    if n_bytes > allowed:
        raise ValueError(
            f"{path} must unfold to at most {allowed:,} bytes at once, {MOST_GROWTH} times its size, "
            f"got {n_bytes:,} or more: it was made to fill memory, or read it in batches (batch_rows)"
        )


def _group_bytes(file: pq.ParquetFile) -> list[int]:
    """Return what each row group says that its pages unfold to."""
    return [file.metadata.row_group(index).total_byte_size for index in range(file.metadata.num_row_groups)]


def _safe_rows(file: pq.ParquetFile, allowed: int) -> int:
    """Return how many rows cannot exceed the bound, even if each held the longest text that its row group can hold."""
    if all(width(field.type) for field in file.schema_arrow):
        return ROW_GROUP_ROWS
    return max(1, min(ROW_GROUP_ROWS, allowed // max(1, *_group_bytes(file), 1)))
