"""Which requests wait, whose prompts are being read, which run, and which row of the target's cache each has."""

from collections import deque
from collections.abc import Callable

from speculative.engine.active_request import Running
from speculative.engine.prefix_sharing import PrefixSharing
from speculative.engine.prompt_reading import PromptReading
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.request import Request


class Admission:
    """Lets requests in, first come, first served, as rows of the cache become free.

    The first rows are those of the requests that run, the next ones those of prompts that are being read.

    Args:
        cache: the target's.
        prefix_cache_bytes: see `EngineSettings`.

    Attributes:
        waiting: for a row.
        running: in the order of their rows.
        reading: in the order in which they came; their rows are in any order.
    """

    def __init__(self, cache: KVCache, prefix_cache_bytes: int) -> None:
        self._cache = cache
        self._sharing = PrefixSharing(cache, prefix_cache_bytes) if prefix_cache_bytes else None
        self.waiting: deque[Request] = deque()
        self.running: list[Running] = []
        self.reading: list[PromptReading] = []

    @property
    def n_used(self) -> int:
        """Rows in use, the first ones."""
        return len(self.running) + len(self.reading)

    @property
    def prefix_bytes(self) -> int:
        """Memory that what is kept of ended requests takes."""
        return 0 if self._sharing is None else self._sharing.kept.n_bytes

    @property
    def ids(self) -> list[str]:
        """Of the requests that wait, are being read and run, in that order."""
        held = [*(reading.state for reading in self.reading), *self.running]
        return [request.id for request in (*self.waiting, *(state.request for state in held))]

    def admit(self, state_of: Callable[[Request], Running]) -> None:
        """Let the prompts of requests that wait be read, as many as there are free rows.

        Args:
            state_of: puts a request on the next free row; where it raises, the request still waits.
        """
        while self.waiting and self.n_used < self._cache.n_rows:
            state = state_of(self.waiting[0])
            self._cache.truncate(state.row, 0)
            self.reading.append(PromptReading(state))
            self.waiting.popleft()

    def to_read(self) -> list[PromptReading]:
        """Return whose prompts are to be read on, first come first; the others wait for what they have in common."""
        return self.reading if self._sharing is None else self._sharing.ready(self.running, self.reading)

    def begin(self, reading: PromptReading) -> None:
        """Count a request whose prompt is read to those that run."""
        state, row = reading.state, len(self.running)
        if state.row != row:
            other = next(other.state for other in self.reading if other.state.row == row)
            self._cache.swap(row, state.row)
            state.row, other.row = row, state.row
        self.reading.remove(reading)
        self.running.append(state)

    def withdraw(self, request_id: str) -> Request | None:
        """Take out a request that does not run yet; None where there is none of that id."""
        for request in self.waiting:
            if request.id == request_id:
                self.waiting.remove(request)
                return request
        for reading in self.reading:
            if reading.state.request.id == request_id:
                self.reading.remove(reading)
                self._fill(reading.state.row, self.n_used)
                return reading.state.request
        return None

    def leave(self, state: Running, *, has_failed: bool) -> None:
        """Free the row of a request that ran; the last ones move, so that rows in use stay contiguous.

        Args:
            state: the request.
            has_failed: whether its row may hold what is no number: it is wiped, and nothing is kept of it.
        """
        if has_failed:
            self._cache.wipe(state.row)
        elif self._sharing is not None:
            self._sharing.keep(state)
        n, row = len(self.running) - 1, state.row
        if row != n:
            last = self.running[n]
            self._cache.move(n, row)
            self.running[row], last.row = last, row
        self.running.pop()
        self._fill(n, self.n_used)

    def _fill(self, row: int, last: int) -> None:
        """Move the last row, which a prompt has, to a free one before it."""
        if row != last:
            moved = next(reading.state for reading in self.reading if reading.state.row == last)
            self._cache.move(last, row)
            moved.row = row
        self._cache.truncate(last, 0)
