"""The target's states of a request's committed tokens, kept for drafts that work on them."""

from collections.abc import Sequence

import torch

from speculative.protocols.causal_lm import ForwardOutput

LAST = -1
"""The states that give the logits: those of the last layer, after the final norm."""


def inner_layers(layers: Sequence[int]) -> list[int]:
    """Return those of some states that a model's passes give only if it is asked, see `Decoder.tapping`."""
    return [layer for layer in layers if layer != LAST]


class StateRows:
    """States by position, one row a token; the rows of positions that are read again take the place of earlier ones.

    Args:
        layers: which states; each number i >= 0 means those that enter layer i, `LAST` those after the final norm.

    Attributes:
        layers: as given, in rising order.
        n_held: positions held, from the text's first one on.
    """

    def __init__(self, layers: Sequence[int]) -> None:
        self.layers, self.n_held = tuple(sorted(set(layers))), 0
        self._rows: torch.Tensor | None = None  # (capacity, layers * d)

    @torch.inference_mode()
    def put(self, first: int, output: ForwardOutput, begin: int = 0, end: int | None = None) -> None:
        """Hold some of a pass's states as those of the positions from `first` on; forget what was held beyond.

        Args:
            first: at most `n_held`.
            output: of a model that was asked for these layers, see `Decoder.tapping`.
            begin: first of the pass's tokens that is taken.
            end: after the last one; None for all.
        """
        parts = [output.hidden, *output.tapped] if LAST in self.layers else list(output.tapped)
        width, n = sum(part.shape[1] for part in parts), len(parts[0][begin:end])
        self.n_held = first + n
        if self._rows is None or len(self._rows) < self.n_held:
            grown = parts[0].new_empty(max(64, 2 * self.n_held), width)
            if self._rows is not None:
                grown[:first] = self._rows[:first]
            self._rows = grown
        torch.cat([part[begin:end] for part in parts], dim=1, out=self._rows[first : self.n_held])

    def first(self, n: int) -> torch.Tensor:
        """Return the rows of the first `n` positions, (n, layers * d), to be read only."""
        if self._rows is None:
            raise ValueError("no states are held yet")
        return self._rows[:n]

    @torch.inference_mode()
    def begin_with(self, rows: torch.Tensor) -> None:
        """Hold these, of the same layers, as the rows of the first positions; forget all others."""
        self.n_held = len(rows)
        self._rows = rows.new_empty(max(64, 2 * self.n_held), rows.shape[1])
        self._rows[: self.n_held] = rows

    def since(self, first: int, layers: Sequence[int]) -> torch.Tensor:
        """Return the rows of the positions from `first` on, (n, layers * d), the layers side by side in their order."""
        if self._rows is None:
            raise ValueError("no states are held yet")
        rows = self._rows[first : self.n_held]
        if tuple(layers) == self.layers:
            return rows
        d = rows.shape[1] // len(self.layers)
        places = [self.layers.index(layer) for layer in layers]
        return torch.cat([rows[:, place * d : (place + 1) * d] for place in places], dim=1)
