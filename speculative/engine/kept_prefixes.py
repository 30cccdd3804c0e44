"""What earlier requests have left: keys, values and states of their tokens, for a later prompt that begins alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from speculative.engine.active_request import Running
from speculative.protocols.free_memory import free_bytes
from speculative.protocols.kv_cache import KVCache

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What one request left.

    Attributes:
        tokens: (n,) int64, the first ones of its text.
        held: (2, layers, h, n, hd), their keys and values.
        states: (n, layers * d), the target's states of them.
    """

    tokens: Tokens
    held: torch.Tensor
    states: torch.Tensor

    @property
    def n_bytes(self) -> int:
        return self.tokens.nbytes + self.held.nbytes + self.states.nbytes


class KeptPrefixes:
    """Texts of requests that have ended, at most so many bytes of them; what was used least recently goes first.

    Args:
        cache: the engine's keys and values.
        most_bytes: of all that is kept, on the cache's device.

    Attributes:
        n_bytes: held now.
    """

    def __init__(self, cache: KVCache, most_bytes: int) -> None:
        self._cache, self._most_bytes, self.n_bytes = cache, most_bytes, 0
        self._kept: list[_Kept] = []  # least recently used first

    def keep(self, state: Running, n_held: int) -> None:
        """Keep the first tokens of a request's text, whose row and states hold them, where there is memory for it."""
        tokens = np.array(state.tokens[:n_held], np.int64)
        for i, kept in enumerate(self._kept):
            if n_common(kept.tokens, tokens) == n_held:  # all of it is there
                self._kept.append(self._kept.pop(i))
                return
        assert state.states is not None
        states = state.states.first(n_held)
        slot_bytes = self._cache.n_bytes // (self._cache.n_rows * self._cache.capacity)
        n_bytes = tokens.nbytes + n_held * slot_bytes + states.nbytes
        if n_bytes > self._most_bytes:  # what there is of it stays
            return
        for kept in [kept for kept in self._kept if n_common(kept.tokens, tokens) == len(kept.tokens)]:
            self._forget(kept)
        while self.n_bytes + n_bytes > self._most_bytes:
            self._forget(self._kept[0])
        if n_bytes > free_bytes(states.device):
            return
        self._kept.append(_Kept(tokens, self._cache.held(state.row, 0, n_held), states.clone()))
        self.n_bytes += n_bytes

    def longest(self, tokens: Tokens) -> int:
        """Return how many first tokens of these are kept."""
        return max((n_common(kept.tokens, tokens) for kept in self._kept), default=0)

    def fill(self, state: Running, n: int) -> None:
        """Put the first `n` tokens of a request's prompt, which are kept, on its row and into its states."""
        tokens = np.array(state.tokens[:n], np.int64)
        i = next(i for i, kept in enumerate(self._kept) if n_common(kept.tokens, tokens) == n)
        kept = self._kept.pop(i)
        self._kept.append(kept)
        self._cache.put(state.row, kept.held[..., :n, :])
        assert state.states is not None
        state.states.begin_with(kept.states[:n])

    def _forget(self, kept: _Kept) -> None:
        self._kept.remove(kept)
        self.n_bytes -= kept.n_bytes


def n_common(first: Tokens, second: Tokens) -> int:
    """Return how many first tokens two texts have in common."""
    n = min(len(first), len(second))
    differ = first[:n] != second[:n]
    return int(differ.argmax()) if differ.any() else n


def as_tokens(token_ids: Sequence[int]) -> Tokens:
    """Return token ids as an array."""
    return np.array(token_ids, np.int64)
