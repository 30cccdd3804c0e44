"""Keys and values of every running request, one row each, with its own length."""

import torch


class KVCache:
    """Preallocated keys and values; rolling back is a subtraction.

    Layout: per layer (n_rows, capacity, n_kv_heads, head_dim), so that a flat index `row * capacity +
    position` names a token's slot and a ragged batch is written with one index. Slots at or beyond a row's
    length hold leftovers which attention masks out.

    Attributes:
        lengths: tokens held by each row, on the host; the only record of what is committed.
        capacity: tokens a row can hold before the cache grows.
    """

    def __init__(
        self,
        n_layers: int,
        n_rows: int,
        n_kv_heads: int,
        head_dim: int,
        *,
        capacity: int = 512,
        growth: int = 512,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        if n_rows < 1 or capacity < 1:
            raise ValueError(f"a KV cache needs n_rows >= 1 and capacity >= 1, got {n_rows} and {capacity}")
        shape = (n_layers, n_rows, capacity, n_kv_heads, head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)
        self.lengths = [0] * n_rows
        self._growth = growth

    @property
    def n_rows(self) -> int:
        """Rows held, running or free."""
        return self.keys.shape[1]

    @property
    def capacity(self) -> int:
        """Tokens a row can hold before the cache grows."""
        return self.keys.shape[2]

    @property
    def n_bytes(self) -> int:
        """Memory held by keys and values, bytes."""
        return 2 * self.keys.numel() * self.keys.element_size()

    def reserve(self, n_tokens: int) -> None:
        """Make room for rows of `n_tokens`, growing in whole steps so that copies stay rare."""
        if n_tokens <= self.capacity:
            return
        extra = -(-(n_tokens - self.capacity) // self._growth) * self._growth
        n_layers, n_rows, _, n_kv_heads, head_dim = self.keys.shape
        for name in ("keys", "values"):
            old = getattr(self, name)
            pad = old.new_zeros((n_layers, n_rows, extra, n_kv_heads, head_dim))
            setattr(self, name, torch.cat([old, pad], dim=2))

    def truncate(self, row: int, length: int) -> None:
        """Forget all but the first `length` tokens of a row.

        Raises:
            ValueError: if the row does not hold that many.
        """
        if not 0 <= length <= self.lengths[row]:
            raise ValueError(f"row {row} holds {self.lengths[row]} tokens, cannot be cut to {length}")
        self.lengths[row] = length

    @torch.inference_mode()
    def move(self, source: int, destination: int) -> None:
        """Copy a row over another and free the first: keeps running rows contiguous when one leaves."""
        length = self.lengths[source]
        self.keys[:, destination, :length] = self.keys[:, source, :length]
        self.values[:, destination, :length] = self.values[:, source, :length]
        self.lengths[destination], self.lengths[source] = length, 0
