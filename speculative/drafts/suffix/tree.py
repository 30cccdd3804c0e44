"""A suffix tree of bounded depth that grows by one token at a time and knows what mostly came next."""

from array import array
from collections.abc import Sequence

from arms.checks import at_least


class SuffixTree:
    """Finds the longest suffix of a context in the texts read so far, and its most frequent next token.

    The paths from the root spell contexts backwards, so that a context's longest match is one walk down. Edges
    are compressed: at most one inner node and one leaf per token read, whatever the text. Adding or looking up
    a token costs one walk, of at most `max_match` steps; a walk ends where the match does.

    Args:
        max_match: longest match that is told apart, tokens.

    Attributes:
        n_tokens: tokens read.
        n_nodes: inner nodes; at most one more than tokens read.

    Raises:
        ValueError: if `max_match` is below 1.

    Source: Weiner 1973, the suffix tree (here of the reversed text); Cleary and Witten 1984 (PPM), counts of what
    followed each context.
    """

    def __init__(self, max_match: int) -> None:
        self.max_match = at_least(max_match, 1, "max_match")
        self.n_tokens, self.n_nodes = 0, 1
        self._text = array("i")  # token ids; before each text a negative number of its own, which nothing matches
        self._n_texts = 0
        self._root = _Node(0, 0, -1, 0)

    @property
    def text(self) -> bytes:
        """What was read, each text behind a mark of its own."""
        return self._text.tobytes()

    def begin_text(self) -> None:
        """Start a new text; no match reaches over the border."""
        self._n_texts += 1
        self._text.append(-self._n_texts)

    def append(self, token: int) -> None:
        """Read the next token of the text that was begun last."""
        self._text.append(token)
        self.n_tokens += 1
        position = len(self._text) - 1
        if self._text[position - 1] >= 0:
            self._insert(position)

    def longest_match(self, context: Sequence[int]) -> tuple[int, int]:
        """Return the longest suffix of `context` that was read before and followed by a token.

        Args:
            context: token ids, at least 0 each.

        Returns:
            length: of the match, tokens, at most `max_match`; 0 for none.
            token: the one that followed it most often, of several the one seen last; -1 for no match.
        """
        depth, found = self._walk(context)
        return depth, self._text[found] if isinstance(found, int) else found.best if depth else -1

    def count_ratio(self, context: Sequence[int]) -> float:
        """Return in which share of its occurrences the longest match was followed by its token; 0 for no match."""
        depth, found = self._walk(context)
        if isinstance(found, int) or (depth and found.followers is None):
            return 1.0
        return found.n_best / sum(found.followers.values()) if depth and found.followers else 0.0

    def _walk(self, context: Sequence[int]) -> "tuple[int, _Node | int]":
        """Return the length of the longest match, and its node or the position after its only occurrence."""
        text, node, depth, limit = self._text, self._root, 0, min(self.max_match, len(context))
        last = len(context) - 1
        while depth < limit:
            child = node.children.get(context[last - depth])
            if child is None:
                break
            depth += 1
            if isinstance(child, int):  # the only occurrence: on to where it differs
                while depth < limit and text[child - 1 - depth] == context[last - depth]:
                    depth += 1
                return depth, child
            node = child
            before, end = node.position - 1, node.depth if node.depth < limit else limit
            while depth < end and text[before - depth] == context[last - depth]:
                depth += 1
            if depth < node.depth:  # within an edge: the same occurrences as at its end
                break
        return depth, node

    def contains(self, token_ids: Sequence[int]) -> bool:
        """Whether these tokens stand side by side in one of the texts, whatever their number."""
        wanted, text, itemsize = array("i", token_ids).tobytes(), self._text.tobytes(), self._text.itemsize
        at = text.find(wanted)
        while at % itemsize and at >= 0:
            at = text.find(wanted, at + 1)
        return at >= 0

    def _insert(self, position: int) -> None:
        """Count the token at `position` as a follower of every suffix of what stands before it."""
        text, node, depth, token = self._text, self._root, 0, self._text[position]
        while True:
            if node.best == token and node.followers is None:  # as `count` does, mostly, without a call
                node.n_best += 1
            else:
                node.count(token)
            if depth == self.max_match:
                return
            key = text[position - 1 - depth]
            child = node.children.get(key)
            if child is None:
                node.children[key] = position
                return
            other, end = (child, self.max_match) if isinstance(child, int) else (child.position, child.depth)
            depth += 1
            while depth < end and text[other - 1 - depth] == text[position - 1 - depth]:
                depth += 1
            if isinstance(child, int) or depth < end:
                child = node.children[key] = self._inner_node(depth, child)
            node = child

    def _inner_node(self, depth: int, child: "_Node | int") -> "_Node":
        """Return a node on the edge to `child`, with the followers that it has."""
        self.n_nodes += 1
        if isinstance(child, int):
            inner, position = _Node(depth, child, self._text[child], 1), child
        else:
            position = child.position
            inner = _Node(depth, position, child.best, child.n_best)
            inner.followers = child.followers and child.followers.copy()
        if depth < self.max_match:
            inner.children[self._text[position - 1 - depth]] = child
        return inner


class _Node:
    """A context that occurred at least twice. A child is a node, or the position of the only occurrence."""

    __slots__ = ("best", "children", "depth", "followers", "n_best", "position")

    def __init__(self, depth: int, position: int, best: int, n_best: int) -> None:
        self.depth, self.position = depth, position  # length of the context; the token after one occurrence
        self.best, self.n_best = best, n_best
        self.followers: dict[int, int] | None = None  # token -> count; None while only `best` has followed
        self.children: dict[int, _Node | int] = {}

    def count(self, token: int) -> None:
        """Note one more follower; among the most frequent the latest is the best."""
        if self.followers is None:
            if token == self.best or not self.n_best:
                self.best, self.n_best = token, self.n_best + 1
                return
            self.followers = {self.best: self.n_best}
        n = self.followers[token] = self.followers.get(token, 0) + 1
        if n >= self.n_best:
            self.best, self.n_best = token, n
