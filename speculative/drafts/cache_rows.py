"""Rows of one cache for the sessions of a draft, so that those of an engine can be read in one pass."""

from collections.abc import Callable, Hashable, Sequence

from speculative.protocols.draft import Answer, Draft, DraftSession, Proposal, UnreadProposal
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.shared_cache import SharedCache


class CacheRows:
    """A cache, and which of its rows no session holds; rows are added as sessions need them.

    Args:
        cache: empty.
        most: rows that it may come to have.

    Attributes:
        cache: as given.
        programs: the kinds of program that have drafted in it, see `propose_by_program`.
    """

    def __init__(self, cache: KVCache, most: int = 1) -> None:
        self.cache, self._most, self.programs = cache, most, set[Hashable]()
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
            rows = shared.in_common(draft, lambda most: cls(new_cache(1), most))
            if rows._free or rows.cache.n_rows < rows._most:
                return rows
        return cls(new_cache(1))

    def take(self) -> int:
        """Return an empty row for a session to hold; there must be one, or room for more.

        Raises:
            ValueError: if the memory that is free cannot hold more rows.
        """
        if not self._free:
            n = self.cache.n_rows
            self.cache.add_rows(min(n, self._most - n))  # twice as many, so that copies stay rare
            self._free.update(range(n, self.cache.n_rows))
        row = min(self._free)
        self._free.remove(row)
        return row

    def give_back(self, row: int) -> None:
        """Empty a row and let another session hold it."""
        self.cache.truncate(row, 0)
        self._free.add(row)


class RowSession(DraftSession):
    """A session that holds a row of its draft's cache.

    Args:
        held: of which it takes one.

    Attributes:
        held: as given.
        row: its own.
        found: what was proposed last; the cache holds some of its tokens.
    """

    def __init__(self, held: CacheRows) -> None:
        self.held, self.row = held, held.take()
        self.found: Answer = Proposal([])

    def keep(self, found: Answer) -> None:
        """Note what was proposed; after an error the row may hold NaN, and is emptied."""
        self.found = found
        if isinstance(found, Exception):
            self.held.cache.wipe(self.row)

    def close(self, text: Sequence[int]) -> None:
        """Give the row back, without NaN of an error that was read later."""
        if isinstance(self.found, UnreadProposal) and not isinstance(self.found.found, Proposal):
            self.held.cache.wipe(self.row)
        self.held.give_back(self.row)
