"""What turns a row of logits into a token: the target and a draft model follow the same rule."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch

from speculative.sampling.gumbel_noise import argmax_with_noise
from speculative.sampling.logits import probabilities, process_logits
from speculative.sampling.sampling_params import SamplingParams


class TokenSampler(ABC):
    """Picks one token from one row of logits."""

    @abstractmethod
    def pick(
        self,
        logits: torch.Tensor,
        position: int,
        prefix: Sequence[int] = (),
        target_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Choose an entry of a row.

        Args:
            logits: (v,) float, of the target or of a draft.
            position: where in the whole text the picked token will stand; equal positions get equal noise.
            prefix: all tokens before it, for a repetition penalty; a draft need not give them.
            target_ids: (v,) the target's id of each entry, for a draft with a vocabulary of its own.

        Returns:
            () int64, an index into `logits`.
        """

    def laws(self) -> torch.Tensor | None:
        """Return what the tokens so far were drawn from, (n, v) float64; None where deterministic."""
        return None


class GreedySampler(TokenSampler):
    """The likeliest token, after the repetition penalty where there is one."""

    def __init__(self, params: SamplingParams | None = None) -> None:
        self._params = params

    def pick(
        self,
        logits: torch.Tensor,
        position: int,
        prefix: Sequence[int] = (),
        target_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the first of the largest entries."""
        if self._params is not None and prefix:
            logits = process_logits(logits, self._params, prefix)
        if logits.device.type == "cpu" and logits.dtype == torch.float32:  # NumPy takes a tenth of torch's time here
            return torch.from_numpy(np.asarray(logits.numpy().argmax()))
        return logits.argmax()


GREEDY = GreedySampler()


class CoupledSampler(TokenSampler):
    """Sampling by the Gumbel trick with noise that depends on request, position and token alone.

    A draft that picks under the same noise as the target agrees with it often, and the target's own pick at a
    position is the same whichever draft helped: `argmax(log p + g)` follows p where g is Gumbel noise.

    Args:
        params: how the logits are processed.
        seed: the request's.

    Source: Daliri et al. 2024 (arXiv:2408.07978), drafter-invariant speculative sampling by Gumbel noise.
    """

    def __init__(self, params: SamplingParams, seed: int) -> None:
        self._params, self._seed = params, seed

    def pick(
        self,
        logits: torch.Tensor,
        position: int,
        prefix: Sequence[int] = (),
        target_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return the best entry once the position's noise is added."""
        processed = process_logits(logits, self._params, prefix)
        return argmax_with_noise(processed, self._seed, position, target_ids)


class Dice(Protocol):
    """Where the randomness of rejection sampling comes from; a test enumerates it."""

    def accept(self, probability: float) -> bool:
        """Return True with the given probability."""

    def draw(self, weights: torch.Tensor) -> int:
        """Draw an index of (v,) float64 weights, with probability in proportion to its weight."""


class RandomDice:
    """Dice that roll."""

    def __init__(self, seed: int, stream: int) -> None:
        self._rng = np.random.default_rng((seed, stream))

    def accept(self, probability: float) -> bool:
        """Return True with the given probability."""
        return bool(self._rng.random() < probability)

    def draw(self, weights: torch.Tensor) -> int:
        """Draw an index by inversion of the cumulative weights; an entry of weight 0 is never drawn."""
        mass = weights.cpu().numpy()
        possible = np.flatnonzero(mass)
        cumulative = mass[possible].cumsum()
        entry = int(np.searchsorted(cumulative, cumulative[-1] * self._rng.random(), side="right"))
        return int(possible[min(entry, len(possible) - 1)])  # rounding may put the point at the very end


class DrawingSampler(TokenSampler):
    """A draft's side of rejection sampling: draws each guess, and keeps the law that it came from.

    The repetition penalty is left to the target; a draft may follow any law as long as it says which.

    Args:
        params: how the logits are processed.
        dice: the draft's own.
        n_vocab: the target's v.
    """

    def __init__(self, params: SamplingParams, dice: Dice, n_vocab: int) -> None:
        self._params, self._dice, self._n_vocab = replace(params, repetition_penalty=1.0), dice, n_vocab
        self._laws: list[torch.Tensor] = []

    def pick(
        self,
        logits: torch.Tensor,
        position: int,
        prefix: Sequence[int] = (),
        target_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Draw an entry from the processed law; a vocabulary shared with the target is cut where the target's ends."""
        logits = logits[: self._n_vocab] if target_ids is None else logits
        law = probabilities(process_logits(logits, self._params, ()))
        entry = torch.tensor(self._dice.draw(law), device=logits.device)
        whole = law.new_zeros(self._n_vocab)
        whole[slice(len(law)) if target_ids is None else target_ids] = law
        self._laws.append(whole)
        return entry

    def laws(self) -> torch.Tensor | None:
        """Return the distributions drawn from, (n, v) float64 over the target's vocabulary."""
        return torch.stack(self._laws) if self._laws else None
