"""The caches that a transformers model runs against: the engine's store, or states that only grow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from speculative.protocols.kv_cache import CacheShape, KVCache, Slots
from speculative.protocols.token_batch import TokenBatch

_FULL, _SLIDING = "full_attention", "sliding_attention"
_MOVING_ROPES = ("dynamic", "longrope")  # keys depend on the longest prefix seen, drafted tokens included
_PROBE_WINDOW = 3


class CannotRollBackError(Exception):
    """A model's cache cannot be the engine's store; the message says why."""


@dataclass(frozen=True, slots=True)
class StoreLayout:
    """The store of a model all of whose layers keep keys and values of one shape.

    Attributes:
        kinds: the layer types that differ in what they see.
    """

    n_layers: int
    n_kv_heads: int
    head_dim: int
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, config: Any, state: Any, parameters: Mapping[str, Any]) -> "StoreLayout":
        """Read the layout off the model's own cache after a pass of one token.

        Args:
            config: transformers' configuration of the text model.
            state: that cache.
            parameters: of the model's forward.

        Raises:
            CannotRollBackError: if some layer keeps anything but keys and values of one shape.
        """
        layers = getattr(state, "layers", [])
        odd = [layer for layer in layers if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer)]
        if odd or not layers:
            raise CannotRollBackError(f"keeps a state ({type(odd[0] if odd else state).__name__}) that only grows")
        lacking = {"position_ids", "attention_mask", "past_key_values"}.difference(parameters)
        if lacking:
            raise CannotRollBackError(f"takes no explicit {sorted(lacking)[0]}")
        if _rope_kinds(config).intersection(_MOVING_ROPES):
            raise CannotRollBackError("rescales its rotary positions as the prefix grows")
        shapes = {tensor.shape for layer in layers for tensor in (layer.keys, layer.values)}
        if len(shapes) > 1:
            raise CannotRollBackError("has layers or keys and values of different shapes")
        sliding = [isinstance(layer, DynamicSlidingWindowLayer) for layer in layers]
        kinds = getattr(config, "layer_types", None) or [_SLIDING if slides else _FULL for slides in sliding]
        windows = {layer.sliding_window for layer, slides in zip(layers, sliding, strict=True) if slides}
        if not {_FULL, _SLIDING}.issuperset(kinds) or windows.difference({getattr(config, "sliding_window", None)}):
            raise CannotRollBackError("attends in windows that are not all sliding ones of one width")
        [(_, n_kv_heads, _, head_dim)] = shapes
        return cls(len(layers), n_kv_heads, head_dim, tuple(sorted(set(kinds))))

    def new_cache(self, n_rows: int, capacity: int, dtype: torch.dtype, device: torch.device) -> KVCache:
        """Make an empty store."""
        shape = CacheShape(self.n_layers, n_rows, self.n_kv_heads, self.head_dim)
        return KVCache(shape, capacity=capacity, dtype=dtype, device=device)

    def windows(self, config: Any) -> dict[str, int | None]:
        """Keys that a query of each layer type sees, itself included; None: all before it."""
        return {kind: config.sliding_window if kind == _SLIDING else None for kind in self.kinds}


def _rope_kinds(config: Any) -> set[str]:
    """Rope scaling kinds, named once or once a layer type."""
    rope = getattr(config, "rope_parameters", None) or {}
    kinds = [rope, *(part for part in rope.values() if isinstance(part, Mapping))]
    return {str(kind.get("rope_type", "default")) for kind in kinds}


@contextmanager
def narrow_window(config: Any, layout: StoreLayout) -> Iterator[None]:
    """Shorten a model's sliding window for a while, so that a few tokens reach beyond it."""
    if _SLIDING not in layout.kinds:
        yield
        return
    window, config.sliding_window = config.sliding_window, _PROBE_WINDOW
    try:
        yield
    finally:
        config.sliding_window = window


class PaddedPass:
    """A ragged batch as the rectangle that transformers reads, with explicit positions and masks.

    Rows are padded on the right with copies of their last token at its own position: no position is beyond a row's
    prefix, every query sees a key, and what the copies compute is thrown away.

    Attributes:
        token_ids: (b, width) int64.
        positions: (b, width) int64.
        gather: (n,) int64, where the batch's tokens stand in the flattened rectangle; None where they fill it.
        slots: where the keys of the batch's tokens go.
        rows: the cache rows.
        kv_length: keys that the longest row sees.
        seen: tokens that the longest row held before.
    """

    def __init__(self, batch: TokenBatch, starts: Sequence[int]) -> None:
        device = batch.token_ids.device
        counts, begins = torch.tensor(list(batch.counts)), torch.tensor(list(starts))
        n_rows, width = len(counts), int(counts.max())
        offsets = torch.minimum(torch.arange(width), counts[:, None] - 1)  # (b, width)
        real = (torch.arange(width) < counts[:, None]).flatten()
        firsts = counts.cumsum(0) - counts
        positions = begins[:, None] + offsets
        rows = (torch.arange(n_rows)[:, None] + batch.first_row).expand_as(positions)
        self.token_ids = batch.token_ids[(firsts[:, None] + offsets).to(device)]
        self.positions = positions.to(device)
        self.gather = None if bool(real.all()) else real.nonzero()[:, 0].to(device)
        self.slots = Slots(rows.flatten()[real].to(device), positions.flatten()[real].to(device))
        self.rows = slice(batch.first_row, batch.first_row + n_rows)
        self.kv_length = int((begins + counts).max())
        self.seen = int(begins.max())

    def packed(self, states: torch.Tensor) -> torch.Tensor:
        """(b * width, ...) of the rectangle to (n, ...) of the batch's tokens."""
        return states if self.gather is None else states[self.gather]

    def masks(self, windows: Mapping[str, int | None], dtype: torch.dtype) -> torch.Tensor | dict[str, torch.Tensor]:
        """Additive masks (b, 1, width, kv_length): one tensor, or one for each layer type where they differ.

        Args:
            windows: keys that a query of each layer type sees, itself included; None: all before it.
            dtype: of the model.
        """
        masks = {kind: self._mask(window, dtype) for kind, window in windows.items()}
        return masks if len(masks) > 1 else next(iter(masks.values()))

    def _mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        keys, queries = torch.arange(self.kv_length, device=self.positions.device), self.positions[..., None]
        hidden = keys > queries
        if window is not None:
            hidden |= keys <= queries - window
        mask = torch.zeros(hidden.shape, dtype=dtype, device=hidden.device)
        return mask.masked_fill_(hidden, torch.finfo(dtype).min)[:, None]

    def cache(self, store: KVCache) -> Cache:
        """Return the store as transformers sees it during this pass."""
        return Cache(layers=[_StoreLayer(k, v, self) for k, v in zip(store.keys, store.values, strict=True)])


class _StoreLayer(CacheLayerMixin):  # type: ignore[misc]  # transformers is not typed here
    """One layer of the engine's store: new keys and values go to their rows' slots, all rows' are handed back."""

    is_sliding = False

    def __init__(self, keys: torch.Tensor, values: torch.Tensor, plan: PaddedPass) -> None:
        super().__init__()
        self.keys, self.values, self._plan = keys, values, plan
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_args: Any, **_kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self._extended(self.keys, key_states), self._extended(self.values, value_states)

    def _extended(self, store: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Write (b, h, width, hd) states; give the rows' (b, h, kv_length, hd), a view."""
        new = states.transpose(1, 2).flatten(0, 1)  # (b * width, h, hd)
        self._plan.slots.write(store, self._plan.packed(new))
        return store[self._plan.rows, :, : self._plan.kv_length]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        """Nothing to do: the store is allocated."""

    def get_seq_length(self) -> int:
        return self._plan.seen

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._plan.kv_length, 0

    def get_max_length(self) -> int:
        return -1


class AppendOnlyCache(KVCache):
    """Each row's state in the model's own form, which only grows: it can be dropped, not cut.

    Attributes:
        states: transformers' cache of each row, None where the row is new.
        read: tokens that each row's state has read; equal to `lengths` for every row in use.
    """

    def __init__(self, n_rows: int, capacity: int = 512) -> None:
        super().__init__(CacheShape(0, n_rows, 0, 0), capacity=capacity)
        self.states: list[Any] = [None] * n_rows
        self.read = [0] * n_rows

    @property
    def n_bytes(self) -> int:
        """Memory held by all rows' states, bytes."""
        return sum(_n_bytes(state) for state in self.states)

    def reserve(self, n_tokens: int) -> None:
        """Nothing to do: transformers grows these states itself."""

    def truncate(self, row: int, length: int) -> None:
        """Drop a row's state (`length` 0), or check that nothing is to be cut.

        Raises:
            ValueError: for any length between.
        """
        if length not in (0, self.lengths[row]):
            raise ValueError(
                f"row {row} holds {self.lengths[row]} tokens and cannot be cut to {length}: this model's state cannot "
                "be rolled back, so it cannot verify drafts; run it with no draft"
            )
        self.lengths[row] = length
        if length == 0:
            self.states[row], self.read[row] = None, 0

    def wipe(self, row: int, first: int = 0) -> None:
        """Drop a row's state where nothing of it is to stay; what it holds was never a draft's."""
        if first == 0:
            self.truncate(row, 0)

    def move(self, source: int, destination: int) -> None:
        """Hand a row's state to another row and free the first."""
        self.states[destination], self.states[source] = self.states[source], None
        self.read[destination], self.read[source] = self.read[source], 0
        self.lengths[destination], self.lengths[source] = self.lengths[source], 0

    def swap(self, first: int, second: int) -> None:
        """Exchange two rows' states."""
        for held in (self.states, self.read, self.lengths):
            held[first], held[second] = held[second], held[first]

    def state(self, row: int) -> Any:
        """Return the row's state, or None where it is new.

        Raises:
            ValueError: if the row was cut.
        """
        if self.lengths[row] == 0:
            self.states[row], self.read[row] = None, 0
        elif self.lengths[row] != self.read[row]:
            raise ValueError(
                f"row {row} was cut to {self.lengths[row]} tokens, but its state has read {self.read[row]}; this "
                "model's state cannot be rolled back"
            )
        return self.states[row]


def _n_bytes(held: Any) -> int:
    """Bytes of all tensors in a transformers cache, its layers and their containers."""
    if isinstance(held, torch.Tensor):
        return held.numel() * held.element_size()
    if isinstance(held, Mapping):
        return sum(_n_bytes(part) for part in held.values())
    if isinstance(held, list | tuple):
        return sum(_n_bytes(part) for part in held)
    return sum(_n_bytes(vars(layer)) for layer in getattr(held, "layers", ()))
