"""What turns a row of logits into a token: the target and a draft model follow the same rule."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch

from speculative.sampling.gumbel_noise import argmax_with_noise, keys_of_rows, stream_key, uniform
from speculative.sampling.logits import probabilities, process_logits
from speculative.sampling.pick_program import Best, BestWithNoise, Drawn, Numbers, PickProgram, numbers_there
from speculative.sampling.sampling_params import SamplingParams


class DraftTokens(NamedTuple):
    """What is put up for verification: tokens, and what each was drawn from.

    Attributes:
        token_ids: (n,) the target's ids.
        probs: (n,) rows of (v,) float64, the distributions; None where each token was certain.
    """

    token_ids: Sequence[int]
    probs: Sequence[torch.Tensor] | None = None


NO_TOKENS = DraftTokens(())
_NO_ROW = "a draft's logits must be one row without NaN that allows at least one token"


class TokenSampler(ABC):
    """Picks one token from one row of logits."""

    @abstractmethod
    def pick(self, logits: torch.Tensor, position: int, target_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Choose an entry of a row.

        Args:
            logits: (v,) float, of the target or of a draft.
            position: where in the whole text the picked token will stand; equal positions get equal noise.
            target_ids: (v,) the target's id of each entry, for a draft with a vocabulary of its own.

        Returns:
            () int64, an index into `logits`.
        """

    def program(self) -> PickProgram | None:
        """Return what picks for several requests at once on a card; None where each row must be given to `pick`."""
        return None

    def numbers(self, position: int, n: int) -> Sequence[Numbers]:
        """Return what the program is told of n tokens, the first of which stands at `position`: n numbers, or none."""
        return ()

    def drawn(self) -> "DraftTokens":
        """Return the tokens drawn so far; none where picks are a function of logits, prefix and noise."""
        return NO_TOKENS

    def drawing(self) -> "DrawingSampler | None":
        """Return what draws, where tokens are drawn."""
        return None


class GreedySampler(TokenSampler):
    """The likeliest token."""

    def pick(self, logits: torch.Tensor, position: int, target_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Return the first of the largest entries."""
        if logits.device.type == "cpu" and logits.dtype == torch.float32:  # NumPy takes a tenth of torch's time here
            return torch.from_numpy(np.asarray(logits.numpy().argmax()))
        return logits.argmax()

    def program(self) -> PickProgram:
        """Return the rows' best tokens."""
        return Best()


GREEDY = GreedySampler()
"""The sampler that a draft is given where the target picks its best token."""


class CoupledSampler(TokenSampler):
    """Sampling by the Gumbel trick with noise that depends on request, position and token alone.

    A draft that picks under the same noise as the target agrees with it often, and the target's own pick at a
    position is the same whichever draft helped: `argmax(log p + g)` follows p where g is Gumbel noise.

    Args:
        params: how the logits are processed; their controls are left out, see `controls`.
        seed: the request's.

    Source: Daliri et al. 2024 (arXiv:2408.07978), drafter-invariant speculative sampling by Gumbel noise.
    """

    def __init__(self, params: SamplingParams, seed: int) -> None:
        self._params, self._seed = params.without_controls(), seed

    def pick(self, logits: torch.Tensor, position: int, target_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Return the best entry once the position's noise is added."""
        processed = process_logits(logits, self._params, ())
        return argmax_with_noise(processed, self._seed, position, target_ids)

    def program(self) -> PickProgram:
        """Return the rows' best tokens under noise."""
        return BestWithNoise(self._params)

    def numbers(self, position: int, n: int) -> Sequence[int]:
        """Return the key of each token's noise."""
        return keys_of_rows(self._seed, position, n)


class RandomSource(Protocol):
    """Where the randomness of rejection sampling comes from; a test enumerates it."""

    def at(self, position: int) -> "RandomSource":
        """Return the source of a round whose first token stands at this position."""

    def accept(self, probability: float) -> bool:
        """Return True with the given probability."""

    def draw(self, weights: torch.Tensor) -> int:
        """Draw an index of (v,) float64 weights, with probability in proportion to its weight."""

    def uniform(self, i: int, which: int) -> float:
        """Return the number in (0, 1) by which the round's i-th token is accepted (0), or one is drawn there (1)."""


class SeededSource:
    """Uniform numbers by count: the same for one seed, stream, round and number, whoever asks and wherever.

    A round's numbers are its own: each round begins at another position, so none decides twice.

    Args:
        seed: in [0, 2**63).
        stream: 0 or 1; streams are independent.
        position: of the round's first token in the text.
    """

    def __init__(self, seed: int, stream: int, position: int = 0) -> None:
        self._seed, self._stream, self._key, self._n = seed, stream, stream_key(seed, position), 0

    def at(self, position: int) -> "SeededSource":
        """Return the source of a round whose first token stands at this position."""
        return SeededSource(self._seed, self._stream, position)

    def accept(self, probability: float) -> bool:
        """Return True with the given probability."""
        is_accepted = self.uniform(self._n, 0) < probability
        self._n += is_accepted
        return is_accepted

    def draw(self, weights: torch.Tensor) -> int:
        """Draw an index by inversion of the cumulative weights; an entry of weight 0 is never drawn."""
        mass = weights.cpu().numpy()
        possible = np.flatnonzero(mass)
        cumulative = mass[possible].cumsum()
        self._n += 1
        point = cumulative[-1] * self.uniform(self._n - 1, 1)
        entry = int(np.searchsorted(cumulative, point, side="right"))
        return int(possible[min(entry, len(possible) - 1)])  # rounding may put the point at the very end

    def uniform(self, i: int, which: int) -> float:
        """Return the number in (0, 1) by which the round's i-th token is accepted (0), or one is drawn there (1)."""
        return uniform(self._key, 4 * i + 2 * which + self._stream)


class DrawingSampler(TokenSampler):
    """A draft's side of rejection sampling: draws each draft token, and keeps what it came from.

    What it has drawn is verified, whatever becomes of the draft: a proposal that were dropped because of a token drawn
    would leave the others with another distribution than the one they are verified by. Logits that allow no draw are
    refused before one is made, for the same reason; on a card, where the host learns of them later, what was drawn from
    them on is left out.

    Controls (penalties, bias) are applied before, if at all; a draft may follow any distribution that is known.

    Args:
        params: how the logits are processed; without controls.
        source: the draft's own.
        n_vocab: the target's v.

    Attributes:
        probs: (v,) float64 each, what the tokens were drawn from.
        masses: () float64 each, on a card: the sum of such a row, NaN where it allows no draw.
    """

    def __init__(self, params: SamplingParams, source: RandomSource, n_vocab: int) -> None:
        self._params, self._source, self._n_vocab = params, source, n_vocab
        self._token_ids: list[int] = []
        self._unread: list[torch.Tensor] = []
        self.probs: list[torch.Tensor] = []
        self.masses: list[torch.Tensor] = []

    def pick(self, logits: torch.Tensor, position: int, target_ids: torch.Tensor | None = None) -> torch.Tensor:
        """Draw an entry from the processed logits; a vocabulary shared with the target is cut where the target's ends.

        Raises:
            FloatingPointError: if the logits hold NaN or infinity, or allow no token; on a card `drawn` tells.
        """
        if logits.dim() != 1:
            raise FloatingPointError(_NO_ROW)
        if logits.device.type != "cpu":
            numbers = numbers_there(self.numbers(position, 1), logits.device)
            entries, probs, masses = self.program().pick(logits[None], numbers, target_ids)
            assert probs is not None
            assert masses is not None
            self.keep(entries if target_ids is None else target_ids[entries], probs, masses)
            return entries[0]
        logits = logits[: self._n_vocab] if target_ids is None else logits
        own = probabilities(process_logits(logits, self._params, ()))
        if not math.isfinite(own.sum()):
            raise FloatingPointError(_NO_ROW)
        probs = own.new_zeros(self._n_vocab)
        if target_ids is None:
            probs[: len(own)] = own
        else:
            probs.index_add_(0, target_ids, own)
        self.probs.append(probs)
        entry = self._source.draw(own)
        self._token_ids.append(entry if target_ids is None else int(target_ids[entry]))
        return torch.tensor(entry)

    def program(self) -> PickProgram:
        """Return tokens drawn from the rows; `keep` has to be told of them."""
        return Drawn(self._params, self._n_vocab)

    def numbers(self, position: int, n: int) -> Sequence[float]:
        """Return the numbers by which the next n tokens are drawn."""
        return [self._source.uniform(len(self.masses) + i, 1) for i in range(n)]

    def keep(self, token_id: torch.Tensor, probs: torch.Tensor, mass: torch.Tensor) -> None:
        """Note a token that was drawn on a card.

        Args:
            token_id: (1,) int64, the target's id.
            probs: (1, v) float64, what it was drawn from.
            mass: (1,) float64, the sum of that.
        """
        self._unread.append(token_id[0])
        self.probs.append(probs[0])
        self.masses.append(mass[0])

    def drawing(self) -> "DrawingSampler | None":
        """Return itself."""
        return self

    def take(self, token_ids: Sequence[int]) -> None:
        """Learn from the one who has read them which tokens were drawn; what was drawn after them is left out."""
        self._token_ids, self._unread = list(token_ids), []

    def drawn(self) -> DraftTokens:
        """Return every token drawn, in order."""
        if self._unread:  # by a draft that reads its tokens itself
            read = torch.stack([*self._unread, *self.masses]).tolist()
            n = len(self._unread)
            self.take([int(value) for value in read[: n_finite(read[n:])]])
        n = len(self._token_ids)
        return DraftTokens(tuple(self._token_ids), tuple(self.probs[:n]))


def n_finite(values: Sequence[float]) -> int:
    """Return how many values are finite before one is not."""
    return next((i for i, value in enumerate(values) if not math.isfinite(value)), len(values))
