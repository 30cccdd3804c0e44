"""Texts that were written earlier, for drafts to copy from: bounded, and frozen while something is measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from arms.checks import at_least
from arms.fingerprint import digest
from speculative.drafts.suffix.tree import SuffixTree


class SuffixStore:
    """Keeps the latest texts in two suffix trees of half the budget each, a young one and an old one.

    A text goes into the young tree. When it would not fit there, the old tree is dropped whole, the young one takes
    its place and a new one begins: eviction costs no search. About 250 bytes of memory a token, 300 for text without
    any repetition.

    Args:
        max_tokens: budget, tokens; 0 keeps nothing. Of a text longer than half of it the last part is kept.
        max_match: longest match that is told apart, tokens.

    Raises:
        ValueError: if `max_tokens` is negative or `max_match` below 1.
    """

    def __init__(self, max_tokens: int = 65_536, max_match: int = 16) -> None:
        self.max_tokens, self.max_match = at_least(max_tokens, 0, "max_tokens"), max_match
        self._trees = SuffixTree(max_match), SuffixTree(max_match)  # young, old
        self._n_freezers = 0
        self._n_freezes = 0

    @property
    def n_tokens(self) -> int:
        """Tokens held; never above `max_tokens`."""
        return sum(tree.n_tokens for tree in self._trees)

    @property
    def is_frozen(self) -> bool:
        """Whether the store rejects texts now."""
        return self._n_freezers > 0

    @property
    def n_freezes(self) -> int:
        """How often it was frozen so far: equal counts at two times mean that it was not in between."""
        return self._n_freezes

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Take up nothing inside the block, for measurements; blocks may be nested.

        A request that runs at any time inside the block is not learned when it ends after it, either.
        """
        self._n_freezers += 1
        self._n_freezes += 1
        try:
            yield
        finally:
            self._n_freezers -= 1

    def add(self, token_ids: Sequence[int]) -> None:
        """Keep a text, evicting the oldest ones if there is no room.

        Raises:
            RuntimeError: if the store is frozen.
            ValueError: if an id is negative.
        """
        if self.is_frozen:
            raise RuntimeError("the store is frozen: add texts outside of `with store.frozen()`")
        if token_ids and min(token_ids) < 0:
            raise ValueError(f"token ids must be >= 0, got {min(token_ids)}")
        room = self.max_tokens // 2
        kept = token_ids[max(0, len(token_ids) - room) :]
        if not kept:
            return
        young, old = self._trees
        if young.n_tokens + len(kept) > room:
            young, old = SuffixTree(self.max_match), young
            self._trees = young, old
        young.begin_text()
        for token in kept:
            young.append(token)

    def longest_match(self, context: Sequence[int]) -> tuple[int, int]:
        """As `SuffixTree.longest_match`, over all texts; of two trees with equally long matches the young one's."""
        young, old = self._trees
        if not young.n_tokens:  # then the old one is empty, too
            return 0, -1
        found = young.longest_match(context)
        return max(found, old.longest_match(context), key=_length) if old.n_tokens else found

    def count_ratio(self, context: Sequence[int]) -> float:
        """As `SuffixTree.count_ratio`, in the tree that `longest_match` takes."""
        young, old = self._trees
        is_older = bool(old.n_tokens) and old.longest_match(context)[0] > young.longest_match(context)[0]
        return (old if is_older else young).count_ratio(context)

    def fingerprint(self) -> str:
        """Return a digest of the texts held."""
        return digest([tree.text for tree in self._trees])

    def contains(self, token_ids: Sequence[int]) -> bool:
        """Whether these tokens, one at least, stand side by side in a text that is held."""
        return any(tree.contains(token_ids) for tree in self._trees)


def _length(found: tuple[int, int]) -> int:
    return found[0]
