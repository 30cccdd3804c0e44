"""One token for each of several requests' rows, where the rows are: requests whose programs are equal share one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from speculative.sampling.gumbel_noise import argmax_of_rows
from speculative.sampling.logits import best_of_rows, probabilities, warp_rows
from speculative.sampling.pinned import without_waiting
from speculative.sampling.rejection_rows import drawn_of_rows
from speculative.sampling.sampling_params import SamplingParams

Numbers = int | float | tuple[float, float]


class Picked(NamedTuple):
    """What a program gives for n rows.

    Attributes:
        entries: (n,) int64, indices into the rows.
        probs: (n, v) float64, the distributions over the target's ids that they were drawn from, where they were.
        masses: (n,) float64, then: sums of the distributions, NaN where one allows no draw.
    """

    entries: Tensor
    probs: Tensor | None = None
    masses: Tensor | None = None


class PickProgram(ABC):
    """A fixed list of operations, for none of which the host waits; hashable, and equal where it does the same."""

    @abstractmethod
    def pick(self, rows: Tensor, numbers: Tensor | None, target_ids: Tensor | None = None) -> Picked:
        """Choose an entry of each row.

        Args:
            rows: (n, v) float.
            numbers: (n,) of each row's sampler, see `TokenSampler.numbers`; None where it has none.
            target_ids: (v,) int64, the target's id of each entry; None if they are numbered as the target's.
        """


@dataclass(frozen=True)
class Best(PickProgram):
    """The likeliest token."""

    def pick(self, rows: Tensor, numbers: Tensor | None, target_ids: Tensor | None = None) -> Picked:
        """Return the first of each row's largest entries."""
        return Picked(best_of_rows(rows))


@dataclass(frozen=True)
class BestWithNoise(PickProgram):
    """The best token once Gumbel noise is added: numbers are `keys_of_rows`.

    Attributes:
        params: how logits are processed; without controls.
    """

    params: SamplingParams

    def pick(self, rows: Tensor, numbers: Tensor | None, target_ids: Tensor | None = None) -> Picked:
        """Return the best entries."""
        assert numbers is not None
        return Picked(argmax_of_rows(warp_rows(rows.float(), self.params), numbers, target_ids))


@dataclass(frozen=True)
class Drawn(PickProgram):
    """A token drawn by inversion: numbers are uniform.

    Attributes:
        params: how logits are processed; without controls.
        n_vocab: the target's v; rows numbered as the target's are cut there.
    """

    params: SamplingParams
    n_vocab: int

    def pick(self, rows: Tensor, numbers: Tensor | None, target_ids: Tensor | None = None) -> Picked:
        """Return the entries drawn, and from what."""
        assert numbers is not None
        own = probabilities(
            warp_rows((rows if target_ids is not None else rows[:, : self.n_vocab]).float(), self.params)
        )
        probs = own
        if target_ids is not None:
            probs = own.new_zeros(len(own), self.n_vocab).index_add_(1, target_ids, own)
        elif own.shape[1] < self.n_vocab:
            probs = torch.nn.functional.pad(own, (0, self.n_vocab - own.shape[1]))
        return Picked(drawn_of_rows(own, numbers), probs, own.sum(1))


def numbers_there(numbers: Sequence[Numbers], device: torch.device) -> Tensor | None:
    """Copy samplers' numbers to where rows are, as int64 or float64; None where there are none."""
    if not numbers:
        return None
    dtype = torch.int64 if isinstance(numbers[0], int) else torch.float64
    return without_waiting(torch.tensor(numbers, dtype=dtype), device)
