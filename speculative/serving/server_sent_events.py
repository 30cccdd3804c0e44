"""Reading and writing streams of server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator

DONE = b"[DONE]"


async def read_events(chunks: AsyncIterable[bytes], most_bytes: int) -> AsyncIterator[bytes]:
    """Yield the data of each event, however the stream is cut into chunks; comments and other fields are passed over.

    Args:
        chunks: of the stream.
        most_bytes: of one event.

    Raises:
        ValueError: if an event is longer.
    """
    rest = b""
    data: list[bytes] = []
    async for chunk in chunks:
        rest += chunk
        *lines, rest = rest.split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                yield b"\n".join(data)
                data = []
        if len(rest) + sum(map(len, data)) > most_bytes:
            raise ValueError(f"an event must have at most {most_bytes:,} bytes")
    if data and not rest:  # the blank line after the last event is missing
        yield b"\n".join(data)


def event(data: bytes) -> bytes:
    """Return data, without line breaks, as one event."""
    return b"data: %s\n\n" % data
