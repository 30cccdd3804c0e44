"""How the tokens of a ragged pass lie in the first rows of a cache when each row is filled up to one width."""

from collections.abc import Sequence
from dataclasses import dataclass

from speculative.protocols.token_batch import TokenBatch


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows of a cache times a width; a cell that no token lies in is filled with one that is there.

    Attributes:
        cells: of each cell, row by row, the number of the token that it is given; None where cells are the tokens.
        last: of each row the cell of its last token.
        tokens: of each token its cell; None where they are the first cells.
        rows: the cache rows of the batch, in its order; None where they are the first ones.
    """

    cells: Sequence[int] | None
    last: Sequence[int]
    tokens: Sequence[int] | None
    rows: Sequence[int] | None

    @classmethod
    def of(cls, batch: TokenBatch, n_rows: int, width: int) -> "Rectangle":
        """Lay out a batch in a cache's first `n_rows` rows, each with at most `width` of its tokens."""
        cells, last = [0] * (n_rows * width), [row * width for row in range(n_rows)]
        tokens: list[int] = []
        for row, count in zip(batch.rows, batch.counts, strict=True):
            first, begin = row * width, len(tokens)
            cells[first : first + width] = [begin + min(i, count - 1) for i in range(width)]
            last[row] = first + count - 1
            tokens += range(first, first + count)
        n, rows = len(tokens), list(batch.rows)
        return cls(
            None if cells == [*range(n)] else cells,
            last,
            None if tokens == [*range(n)] else tokens,
            None if rows == [*range(len(rows))] else rows,
        )
