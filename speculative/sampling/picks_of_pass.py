"""Picks and acceptance as the end of a pass's own program, for requests that all sample alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from speculative.sampling.acceptance import accepted_of_rectangle
from speculative.sampling.pick_program import BestWithNoise


@dataclass(frozen=True)
class PicksOfPass:
    """A fixed list of operations on a pass's logits; hashable, and equal where it does the same.

    Attributes:
        noise: adds noise before the best token is taken; None for greedy text.
        n_tokens: ids from here on are padding and cut off.
    """

    noise: BestWithNoise | None
    n_tokens: int

    def __call__(self, logits: Tensor, token_ids: Tensor, n_drafted: Tensor, numbers: Tensor) -> Tensor:
        """Pick from each row, and accept each request's draft as far as it equals the picks.

        Args:
            logits: (b * w, v) float, after each of b requests' w tokens.
            token_ids: (b * w,) int64, of each request its text's last token, then its draft tokens, filled up.
            n_drafted: (b,) int64, the draft tokens of each.
            numbers: (b * w,) int64, the noise's keys; whatever they are for greedy text.

        Returns:
            (b, w + 1) int64, see `accepted_of_rows`.
        """
        rows = logits[:, : self.n_tokens]
        largest, picks = rows.max(-1)
        if self.noise is not None:
            picks = self.noise.pick(rows, numbers).entries
        return accepted_of_rectangle(picks, largest, token_ids, n_drafted)


class AskedPicks(NamedTuple):
    """What a round asks of its pass.

    Attributes:
        program: what picks and accepts.
        numbers: of each of the pass's tokens; none for greedy text.
    """

    program: PicksOfPass
    numbers: Sequence[int]
