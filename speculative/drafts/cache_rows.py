"""Rows of one cache for the sessions of a draft, so that those of an engine can be read in one pass."""

from collections.abc import Callable

from speculative.protocols.draft import Draft
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.shared_cache import SharedCache


class CacheRows:
    """A cache, and which of its rows no session holds.

    Args:
        cache: empty.

    Attributes:
        cache: as given.
    """

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self._free = set(range(cache.n_rows))

    @classmethod
    def of(cls, draft: Draft, shared: SharedCache | None, new_cache: Callable[[int], KVCache]) -> "CacheRows":
        """Return the rows of a draft's sessions in one engine; one row for a session that stands alone.

        So does a session for which no row is left, since others were not closed.

        Args:
            draft: whose.
            shared: as `Draft.open` is given it.
            new_cache: makes a cache of so many rows.
        """
        if shared is not None:
            rows = shared.in_common(draft, lambda n_rows: cls(new_cache(n_rows)))
            if rows._free:
                return rows
        return cls(new_cache(1))

    def take(self) -> int:
        """Return an empty row, of which there must be one, for a session to hold."""
        row = min(self._free)
        self._free.remove(row)
        return row

    def give_back(self, row: int) -> None:
        """Empty a row and let another session hold it."""
        self.cache.truncate(row, 0)
        self._free.add(row)
