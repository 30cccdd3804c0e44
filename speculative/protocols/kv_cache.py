"""Keys and values of every running request, one row each, with its own length."""

import math
import weakref
from dataclasses import dataclass

import torch

from speculative.protocols.free_memory import free_bytes
from speculative.protocols.kv_store import KVStore, StorePool


@dataclass(frozen=True, slots=True)
class Slots:
    """Where a pass's new keys and values go.

    Attributes:
        rows: (n,) int64, or the one row of all.
        positions: (n,) int64, or the slice that they fill in one row.
        only_finite: whether 0 is put where a number is not finite: attention that is given hidden slots too would
            make NaN of them.
    """

    rows: torch.Tensor | int
    positions: torch.Tensor | slice
    only_finite: bool = False

    def write(self, store: torch.Tensor, new: torch.Tensor) -> None:
        """Put (n, h, hd) keys or values into one layer's store, (b, h, capacity, hd)."""
        if self.only_finite:
            new = new.nan_to_num(0.0, 0.0, 0.0)
        if isinstance(self.rows, int):
            store[self.rows, :, self.positions] = new.transpose(0, 1)
        else:
            store[self.rows, :, self.positions] = new


@dataclass(frozen=True, slots=True)
class CacheShape:
    """How large a token's keys and values are, and how many requests have some."""

    n_layers: int
    n_rows: int
    n_kv_heads: int
    head_dim: int


class KVCache:
    """Preallocated keys and values; rolling back is a subtraction.

    Layout: per layer (n_rows, n_kv_heads, capacity, head_dim), so that attention reads each head's keys in one run
    (a fifth to a third less time for 200 to 500 keys than where heads alternate). Slots at or beyond a row's length
    hold leftovers which attention masks out.

    Attributes:
        lengths: tokens held by each row, on the host; the only record of what is committed.
        capacity: tokens a row can hold before the cache grows.
        store: the pool's, which holds keys and values: another one once the cache has grown; None without a pool.

    With a pool, memory comes from it and goes back to it: when the cache grows, and when it is gone.

    Raises:
        ValueError: if a size is below 1, or the memory that is free cannot hold the cache.
    """

    def __init__(
        self,
        shape: CacheShape,
        *,
        capacity: int = 512,
        growth: int = 512,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        pool: StorePool | None = None,
    ) -> None:
        n_rows, self._pool = shape.n_rows, pool
        if n_rows < 1 or capacity < 1:
            raise ValueError(f"a KV cache needs n_rows >= 1 and capacity >= 1, got {n_rows} and {capacity}")
        self._n_layers, self._heads = shape.n_layers, (shape.n_kv_heads, shape.head_dim)
        self._slot_bytes = 2 * shape.n_layers * math.prod(self._heads) * dtype.itemsize
        self._dtype, self._device, self._growth = dtype, torch.device(device), growth
        if pool is not None:
            capacity = self._pooled(pool, n_rows, capacity)
        self._check_memory(n_rows, capacity, 0)
        self.store: KVStore | None = None
        if pool is None:
            self.keys, self.values = (
                torch.zeros(self._sizes(n_rows, capacity), dtype=dtype, device=device) for _ in range(2)
            )
        else:
            self._held: list[KVStore] = []  # what the pool is given back when the cache is gone
            self._hold(pool.take(self._sizes(n_rows, capacity), dtype, self._device))
            weakref.finalize(self, _give_back, pool, self._held).atexit = False
        self.lengths = [0] * n_rows

    @property
    def n_rows(self) -> int:
        """Rows held, running or free."""
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Tokens a row can hold before the cache grows."""
        return self.keys.shape[3]

    @property
    def n_bytes(self) -> int:
        """Memory held by keys and values, bytes."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def check_room(self, n_tokens: int) -> None:
        """Refuse rows of `n_tokens` that the memory could not hold, before anything is allocated.

        Raises:
            ValueError: naming the memory needed and the memory that is free.
        """
        if n_tokens > self.capacity:
            self._check_memory(self.n_rows, self.capacity + self._extra(n_tokens), self.n_bytes // 2)

    def reserve(self, n_tokens: int) -> None:
        """Make room for rows of `n_tokens`, growing in whole steps so that copies stay rare.

        Raises:
            ValueError: see `check_room`.
        """
        if n_tokens <= self.capacity:
            return
        self.check_room(n_tokens)
        self._extend(3, self._extra(n_tokens))

    @torch.inference_mode()
    def add_rows(self, n: int) -> None:
        """Append so many empty rows.

        Raises:
            ValueError: see `check_room`.
        """
        self._check_memory(self.n_rows + n, self.capacity, self.n_bytes // 2)
        self._extend(1, n)
        self.lengths += [0] * n

    def _sizes(self, n_rows: int, capacity: int) -> tuple[int, ...]:
        return self._n_layers, n_rows, self._heads[0], capacity, self._heads[1]

    def _hold(self, store: KVStore) -> None:
        self.store, self.keys, self.values = store, store.keys, store.values
        self._held[:] = [store]

    def _extend(self, dim: int, n: int) -> None:
        if self._pool is not None:  # to another home, whose shape is one of few
            [old], n_rows, capacity = self._held, self.n_rows, self.capacity
            sizes = self._sizes(n_rows + n * (dim == 1), capacity + n * (dim == 3))
            self._hold(self._pool.take(sizes, self._dtype, self._device))
            self.keys[:, :n_rows, :, :capacity] = old.keys
            self.values[:, :n_rows, :, :capacity] = old.values
            self._pool.give_back(old)
            return
        for name in ("keys", "values"):
            old = getattr(self, name)
            shape = [*old.shape]
            shape[dim] = n
            setattr(self, name, torch.cat([old, old.new_zeros(shape)], dim))

    def _extra(self, n_tokens: int) -> int:
        if self._pool is not None:
            return self._pooled(self._pool, self.n_rows, n_tokens) - self.capacity
        return -(-(n_tokens - self.capacity) // self._growth) * self._growth

    def _pooled(self, pool: StorePool, n_rows: int, n_tokens: int) -> int:
        """Return a pool's capacity for so many tokens, where memory is short no more than they need."""
        capacity = pool.capacity(n_tokens)
        needed, free = self._memory(n_rows, capacity)
        return capacity if needed <= free else pool.least_capacity(n_tokens)

    def _memory(self, n_rows: int, capacity: int) -> tuple[int, int]:
        """Bytes that keys and values would take, and bytes that are free; a pool's stores go where they lack."""
        needed, free = self._slot_bytes * n_rows * capacity, free_bytes(self._device)
        if self._pool is not None:
            if self._pool.has(self._sizes(n_rows, capacity)):
                return 0, free
            if needed > free:
                self._pool.drop()
                free = free_bytes(self._device)
        return needed, free

    def _check_memory(self, n_rows: int, capacity: int, reused: int) -> None:
        """`reused` bytes come free while the cache grows: without a pool, keys and values are copied one by one."""
        needed, free = self._memory(n_rows, capacity)
        if needed > free + (reused if self._pool is None else 0):
            raise ValueError(
                f"a KV cache of {capacity} tokens a row would take {needed / 1e9:.1f} GB, but {free / 1e9:.1f} GB are "
                "free; shorten prompts and answers, or run fewer requests at once"
            )

    def held(self, row: int, first: int = 0, last: int | None = None) -> torch.Tensor:
        """Keys and values of a row's positions, (2, n_layers, n_kv_heads, last - first, head_dim); a copy.

        Args:
            row: the row.
            first: position to begin with.
            last: position to stop before; None for the row's length.
        """
        part = slice(first, self.lengths[row] if last is None else last)
        return torch.stack([self.keys[:, row, :, part], self.values[:, row, :, part]])

    def truncate(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of a row.

        Raises:
            ValueError: if the row does not hold that many.
        """
        if not 0 <= length <= self.lengths[row]:
            raise ValueError(f"row {row} holds {self.lengths[row]} tokens, cannot be cut to {length}")
        self.lengths[row] = length

    @torch.inference_mode()
    def wipe(self, row: int, first: int = 0) -> None:
        """Empty a row from slot `first` on, the slots too: what is hidden from attention may be anything but NaN."""
        self.keys[:, row, :, first:] = 0.0
        self.values[:, row, :, first:] = 0.0
        self.lengths[row] = first

    @torch.inference_mode()
    def move(self, source: int, destination: int) -> None:
        """Copy a row over another and free the first: keeps running rows contiguous when one leaves."""
        length = self.lengths[source]
        self.keys[:, destination, :, :length] = self.keys[:, source, :, :length]
        self.values[:, destination, :, :length] = self.values[:, source, :, :length]
        self.lengths[destination], self.lengths[source] = length, 0

    @torch.inference_mode()
    def copy(self, source: int, destination: int, length: int) -> None:
        """Let a row hold the first tokens of another one, and nothing else."""
        self.keys[:, destination, :, :length] = self.keys[:, source, :, :length]
        self.values[:, destination, :, :length] = self.values[:, source, :, :length]
        self.lengths[destination] = length

    @torch.inference_mode()
    def put(self, row: int, held: torch.Tensor) -> None:
        """Let a row hold these keys and values, of the form of `held`, and nothing else."""
        length = held.shape[3]
        self.reserve(length)
        self.keys[:, row, :, :length], self.values[:, row, :, :length] = held
        self.lengths[row] = length

    @torch.inference_mode()
    def swap(self, first: int, second: int) -> None:
        """Exchange two rows."""
        length = max(self.lengths[first], self.lengths[second])
        for store in (self.keys, self.values):
            held = store[:, first, :, :length].clone()
            store[:, first, :, :length] = store[:, second, :, :length]
            store[:, second, :, :length] = held
        self.lengths[first], self.lengths[second] = self.lengths[second], self.lengths[first]


def _give_back(pool: StorePool, held: list[KVStore]) -> None:
    for store in held:
        pool.give_back(store)
