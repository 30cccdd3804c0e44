"""The files of a decision log: JSON lines, each with a checksum, in segments that are begun whole.

A line is one JSON object whose last key is the CRC-32 of the rest. A record counts once its line is whole. A line cut
off at the very end of the last segment is what a crash leaves behind; anything else that is not whole is damage.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from arms.atomic_file import write_file
from arms.input_file import check_is_file

FORMAT_VERSION = 1
_TAIL_BYTES = len(b',"crc32":"00000000"}\n')
_BEGIN = b'{"kind":'  # never inside a string, where quotes are escaped

Record = Mapping[str, object]


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a log: the segment's number, and a byte in its file."""

    segment: int
    offset: int


BEGINNING = Position(0, 0)


@dataclass(frozen=True, slots=True)
class PlacedRecord:
    """A record with the place of its first byte, and that after its last one."""

    start: Position
    end: Position
    record: Record


def encode(record: Record) -> bytes:
    """Return a record as one line.

    Raises:
        ValueError: if a value is no JSON value, or a number is not finite.
    """
    body = json.dumps(record, allow_nan=False, separators=(",", ":")).encode("ascii")
    return b'%s,"crc32":"%08x"}\n' % (body[:-1], zlib.crc32(body))


def decode(line: bytes) -> dict[str, object] | None:
    """Return the record of a line, or None where the line is not whole."""
    body = line[:-_TAIL_BYTES] + b"}"
    if line[-_TAIL_BYTES:] != b',"crc32":"%08x"}\n' % zlib.crc32(body):
        return None
    record: dict[str, object] = json.loads(body)
    return record


def segment_path(folder: Path, segment: int) -> Path:
    """Return the file of a segment."""
    return folder / f"segment-{segment:08d}.jsonl"


def segment_numbers(folder: Path) -> list[int]:
    """Return the numbers of a folder's segments, in order.

    Raises:
        ValueError: if one is missing.
    """
    numbers = sorted(int(path.stem.removeprefix("segment-")) for path in folder.glob("segment-????????.jsonl"))
    if numbers != list(range(len(numbers))):
        missing = next(i for i, number in enumerate(numbers) if i != number)
        raise ValueError(f"{segment_path(folder, missing)} is missing: the log needs all its segments; restore it")
    return numbers


def begin_segment(folder: Path, segment: int, header: Record) -> None:
    """Write a new segment that holds its header only, whole or not at all."""
    line = encode({"kind": "segment", "format": FORMAT_VERSION, "segment": segment, **header})
    write_file(segment_path(folder, segment), line)


def read_records(folder: Path, start: Position = BEGINNING) -> Iterator[PlacedRecord]:
    """Yield the whole records from `start` on, in order, headers included; takes no lock.

    Works while the log is being written: what is not whole yet is left for the next reading.

    Raises:
        ValueError: if a record is damaged, a segment is missing, the format is newer, or `start` lies behind the end.
    """
    segment, offset = start.segment, start.offset
    while True:
        last = len(segment_numbers(folder)) - 1  # asked first: an older segment has been written to its end
        if segment > last:
            return
        yield from _read_segment(folder, segment, offset, is_last=segment == last)
        if segment == last:
            return
        segment, offset = segment + 1, 0


def _read_segment(folder: Path, segment: int, offset: int, is_last: bool) -> Iterator[PlacedRecord]:
    path = segment_path(folder, segment)
    check_is_file(path)
    with path.open("rb") as file:
        if offset > file.seek(0, 2):
            raise ValueError(f"{path} ends before byte {offset}: the log was cut back behind what was read before")
        file.seek(offset)
        while line := file.readline():
            record = decode(line)
            if record is None:
                file.seek(offset)
                if is_last and is_torn(file.read()):
                    return
                file.seek(offset)
                line = file.readline()  # once more: it may have been read in the midst of being written
                record = decode(line)
                if record is None:
                    raise _damaged(path, offset)
            _check_format(path, record)
            end = offset + len(line)
            yield PlacedRecord(Position(segment, offset), Position(segment, end), record)
            offset = end


def read_record(folder: Path, position: Position) -> Record:
    """Return the record that begins at a place.

    Raises:
        ValueError: if none begins there.
    """
    [record] = records_at(folder, [position])
    return record


def records_at(folder: Path, positions: Iterable[Position]) -> Iterator[Record]:
    """Yield the records that begin at places, in the order given; places of one segment in a row open it once.

    Raises:
        ValueError: if none begins at one of them.
    """
    for segment, places in groupby(positions, lambda position: position.segment):
        path = segment_path(folder, segment)
        check_is_file(path)
        with path.open("rb") as file:
            for place in places:
                file.seek(place.offset)
                record = decode(file.readline())
                if record is None:
                    raise _damaged(path, place.offset)
                yield record


def near_end(folder: Path, n_bytes: int) -> Position:
    """Return where a record begins in the last segment, at most `n_bytes` before its end, to read on from there.

    Raises:
        ValueError: if there is no segment, or one is missing.
    """
    numbers = segment_numbers(folder)
    if not numbers:
        raise ValueError(f"{folder} holds no decision log ({segment_path(folder, 0).name}, ...)")
    path = segment_path(folder, numbers[-1])
    check_is_file(path)
    with path.open("rb") as file:
        start = file.seek(0, 2) - n_bytes
        if start <= 0:
            return Position(numbers[-1], 0)
        file.seek(start)
        file.readline()
        return Position(numbers[-1], file.tell())


def is_torn(tail: bytes) -> bool:
    """Return whether no whole record stands behind the broken one that `tail` begins with."""
    begin = tail.find(_BEGIN, 1)
    while begin >= 0:
        end = tail.find(b"\n", begin)
        if end < 0:
            return True
        if decode(tail[begin : end + 1]) is not None:
            return False
        begin = tail.find(_BEGIN, begin + 1)
    return True


def _damaged(path: Path, offset: int) -> ValueError:
    return ValueError(
        f"{path} is damaged at byte {offset}: the record there does not match its checksum, and it is not the "
        "log's last; restore the file from a copy"
    )


def _check_format(path: Path, record: Record) -> None:
    version = record.get("format", FORMAT_VERSION)
    if type(version) is not int or version < 1:
        raise ValueError(f"{path} is damaged: its format version must be an integer >= 1, got {version!r}")
    if version > FORMAT_VERSION:
        raise ValueError(f"{path} has format version {version!r}, this draftpick reads up to {FORMAT_VERSION}: upgrade")
