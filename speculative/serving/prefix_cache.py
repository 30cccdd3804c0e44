"""What an engine's prefix cache saves: seconds of prefill, learned from the times to the first token."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

BLOCK = 256  # characters
MOST_BLOCKS = 4096  # remembered of one arm: a million characters
_ENOUGH = 8  # first tokens seen before anything is said to be saved


class PrefixCache:
    """Models one arm: which prefixes it has read lately, and what reading costs it.

    seconds to the first token = base + new * (characters not read before) + known * (characters read before)

    fitted by least squares to the arm's own streams. A cache saves new - known seconds a character; an engine that has
    none has new = known, and nothing to save. Characters stand for tokens, of which the engine alone knows.

    Attributes:
        n_seen: first tokens that the model was fitted to.
    """

    def __init__(self) -> None:
        self._blocks: OrderedDict[int, None] = OrderedDict()
        self._squares, self._products = np.diag([1e-9, 1e-3, 1e-3]), np.zeros(3)
        self._block_s: float | None = None  # saved on a block, once it is asked for
        self.n_seen = 0

    def saved_s(self, prefix: Sequence[int]) -> float:
        """Return the seconds that the arm's cache saves on a text.

        Args:
            prefix: of the text, from `blocks_of`.
        """
        if self.n_seen < _ENOUGH or not prefix:
            return 0.0
        if self._block_s is None:
            _, new, old = np.linalg.solve(self._squares, self._products)
            self._block_s = max(0.0, float(new - old)) * BLOCK
        return self._block_s * self._n_known(prefix)

    def answered(self, prefix: Sequence[int], first_s: float | None) -> None:
        """Remember a text that the arm has read, and the seconds to its first token where they are known."""
        if first_s is not None:
            known = self._n_known(prefix)
            row = np.array([1.0, BLOCK * (len(prefix) - known), BLOCK * known])
            self._squares += np.outer(row, row)
            self._products += first_s * row
            self.n_seen += 1
            self._block_s = None
        for block in reversed(prefix):  # a text is forgotten from its end
            self._blocks[block] = None
            self._blocks.move_to_end(block)
        while len(self._blocks) > MOST_BLOCKS:
            self._blocks.popitem(last=False)

    def _n_known(self, prefix: Sequence[int]) -> int:
        return next((i for i, block in enumerate(prefix) if block not in self._blocks), len(prefix))


def blocks_of(text: str) -> list[int]:
    """Return a number for each whole block of a text, as far as it is remembered; it tells the text up to there."""
    found, so_far = [], 0
    for end in range(BLOCK, min(len(text), BLOCK * MOST_BLOCKS) + 1, BLOCK):
        so_far = hash((so_far, text[end - BLOCK : end]))
        found.append(so_far)
    return found
