"""Reading and writing streams of server-sent events."""

from __future__ import annotations

from collections.abc import Iterator

from speculative.serving.problem import ArmFailure

DONE = b"[DONE]"


class EventReader:
    """Takes a stream apart into events, however it is cut into chunks; comments and other fields are passed over.

    Args:
        most_bytes: of one event.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._rest = b""
        self._data: list[bytes] = []

    def read(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that this chunk ends.

        Raises:
            ArmFailure: if an event is longer than `most_bytes`.
        """
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            elif not line and self._data:
                yield b"\n".join(self._data)
                self._data = []
        if len(self._rest) + sum(map(len, self._data)) > self._most_bytes:
            raise ArmFailure(f"an event must have at most {self._most_bytes:,} bytes")

    def end(self) -> Iterator[bytes]:
        """Yield the last event where only the blank line after it is missing."""
        if self._data and not self._rest:
            yield b"\n".join(self._data)


def event(data: bytes) -> bytes:
    """Return data, without line breaks, as one event."""
    return b"data: %s\n\n" % data
