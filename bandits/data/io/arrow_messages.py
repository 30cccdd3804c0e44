"""What the messages of an Arrow file unfold to, told by their headers before anything is unfolded."""

from __future__ import annotations

import struct

import pyarrow as pa

# places of fields in the tables of Arrow's Message.fbs
_HEADER, _DATA, _BUFFERS, _COMPRESSION = 2, 1, 2, 3


def unfolded_bytes(file: pa.NativeFile) -> int:
    """Return the bytes that all messages from here to the end of a stream unfold to.

    Raises:
        ValueError: if a header is damaged.

    Source: https://arrow.apache.org/docs/format/Columnar.html (compressed buffers begin with their whole length), and
    https://flatbuffers.dev/internals for the headers.
    """
    try:
        return sum(_unfolded(message) for message in pa.ipc.MessageReader.open_stream(file))
    except struct.error as error:
        raise ValueError(f"a header is damaged ({error})") from error


def _unfolded(message: pa.Message) -> int:
    if message.type not in ("record batch", "dictionary"):
        return 0
    header, body = memoryview(message.metadata), memoryview(message.body)
    batch = _table(header, _field(header, _table(header, 0), _HEADER))
    if message.type == "dictionary":
        batch = _table(header, _field(header, batch, _DATA))
    if not _field(header, batch, _COMPRESSION):
        return len(body)
    buffers = _table(header, _field(header, batch, _BUFFERS))
    (n_buffers,) = struct.unpack_from("<i", header, buffers)
    total = 0
    for place in range(n_buffers):
        offset, length = struct.unpack_from("<qq", header, buffers + 4 + 16 * place)
        if length > 0:
            (whole,) = struct.unpack_from("<q", body, offset)
            total += max(whole, length)  # -1 where a buffer is not compressed
    return total


def _table(header: memoryview, place: int) -> int:
    """Return where that begins which the offset at a place refers to."""
    return place + int(struct.unpack_from("<I", header, place)[0])


def _field(header: memoryview, table: int, number: int) -> int:
    """Return where a table's field stands; 0 where it has none."""
    names = table - int(struct.unpack_from("<i", header, table)[0])
    (size,) = struct.unpack_from("<H", header, names)
    if 4 + 2 * number >= size:
        return 0
    offset = int(struct.unpack_from("<H", header, names + 4 + 2 * number)[0])
    return table + offset if offset else 0
