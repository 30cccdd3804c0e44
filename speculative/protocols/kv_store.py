"""Keys and values in memory that is kept when a cache is gone: what was captured over it is of use to the next one."""

from collections import defaultdict
from dataclasses import dataclass

import torch

_FIRST, _STEP = 512, 4  # tokens of the least capacity, and how many times larger the next is
_UNIT = 512  # divides every capacity


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class KVStore:
    """The memory of one cache; equal to itself only.

    Attributes:
        sizes: n_layers, n_rows, n_kv_heads, capacity, head_dim.
        keys: of these sizes.
        values: of these sizes.
    """

    sizes: tuple[int, ...]
    keys: torch.Tensor
    values: torch.Tensor

    @property
    def capacity(self) -> int:
        """Tokens that a row can hold."""
        return self.sizes[3]

    @classmethod
    def empty(cls, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> "KVStore":
        """Make one that holds zeros."""
        keys, values = (torch.zeros(sizes, dtype=dtype, device=device) for _ in range(2))
        return cls(sizes, keys, values)


class StorePool:
    """Stores of a model's caches: taken, given back, and taken again by a cache of the same shape.

    Capacities are few, so that shapes repeat: 512, four times as much, and so on, up to the model's context. Where that
    much memory is not free, a cache takes the least capacity instead.

    Args:
        n_positions: the model's context, tokens.
    """

    def __init__(self, n_positions: int) -> None:
        self._limit = self.least_capacity(n_positions)
        self._free: defaultdict[tuple[int, ...], list[KVStore]] = defaultdict(list)

    def capacity(self, n_tokens: int) -> int:
        """Return the capacity of a cache that is to hold so many tokens a row."""
        found = _FIRST
        while found < n_tokens:
            found *= _STEP
        return min(found, max(self._limit, self.least_capacity(n_tokens)))

    def least_capacity(self, n_tokens: int) -> int:
        """Return the least capacity that a cache may have to hold so many tokens a row."""
        return -(-n_tokens // _UNIT) * _UNIT

    def has(self, sizes: tuple[int, ...]) -> bool:
        """Whether a store of these sizes is free."""
        return bool(self._free[sizes])

    @torch.inference_mode(False)  # so that the store may be written to everywhere
    def take(self, sizes: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> KVStore:
        """Return a store that holds zeros: a free one, or one that is made."""
        try:
            store = self._free[sizes].pop()
        except IndexError:
            return KVStore.empty(sizes, dtype, device)
        store.keys.zero_()  # what the last cache has left may hold NaN
        store.values.zero_()
        return store

    def give_back(self, store: KVStore) -> None:
        """Keep a store for the next cache of its sizes."""
        self._free[store.sizes].append(store)

    def drop(self) -> None:
        """Let go of all free stores."""
        self._free.clear()
