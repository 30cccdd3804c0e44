"""Draft tokens of several requests that are still on a card, and what will tell whether they are sound."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from speculative.sampling.token_sampler import n_finite


@dataclass(eq=False)
class UnreadTokens:
    """What a draft picked in one go, g tokens at most for each of b requests.

    Attributes:
        token_ids: (b, g) int64, the target's ids; beyond a request's own number anything.
        lengths: tokens of each request.
        largest: (b, g) float, the largest logit of each row that was looked at: NaN or infinite where all is not well.
        is_sure: (b, g) bool, whether the draft goes on to each token; the first where it does not and all after it are
            not proposed. None for all.
        masses: (b, g) float64, the sum of what each was drawn from, under rejection sampling; None otherwise.
        probs: (b, g, v) float64, then: what they were drawn from; zeros from the first one on that does not count.
    """

    token_ids: Tensor
    lengths: Sequence[int]
    largest: Tensor
    is_sure: Tensor | None = None
    masses: Tensor | None = None
    probs: Tensor | None = None
    _read: list[Sequence[float]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.masses is not None and self.probs is not None:
            counts = self.masses.abs() < math.inf
            counts = counts if self.is_sure is None else counts & self.is_sure
            self.probs = torch.where(counts.cumprod(1).bool()[..., None], self.probs, 0.0)

    def columns(self) -> list[Tensor]:
        """Return what has to be read beside the tokens, each (b * g,) float64."""
        columns = (self.largest, self.masses, self.is_sure)
        return [column.double().flatten() for column in columns if column is not None]

    def take(self, columns: Sequence[Sequence[float]]) -> None:
        """Take what was read."""
        read, sound = iter(columns), [1.0] * self.token_ids.numel()
        kept = (self.largest, self.masses, self.is_sure)
        self._read = [sound if column is None else next(read) for column in kept]

    def counted(self, i: int) -> tuple[int, int, bool]:
        """Return of a request, once read: tokens proposed, how many of them could be drawn, and whether all is well."""
        first, n = i * self.token_ids.shape[1], self.lengths[i]
        largest, masses, is_sure = (column[first : first + n] for column in self._read)
        n_sure = next((k for k, value in enumerate(is_sure) if not value), n)
        n_drawn, looked_at = n_finite(masses[:n_sure]), largest[: n_sure + 1]
        return n_sure, n_drawn, n_drawn == n_sure and n_finite(looked_at) == len(looked_at)
