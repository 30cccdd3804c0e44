"""Where the time of a pass goes, and what reading the weights alone would take."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn import functional

from speculative.models import linear
from speculative.models.config import DecoderConfig
from speculative.models.decoder import Decoder
from speculative.protocols.token_batch import TokenBatch

PRODUCTS, ATTENTION, NORMS, REST = PARTS = ("matrix products", "attention", "norms", "rest")


def bandwidths(n_bytes: int, n_repeats: int = 7) -> dict[str, float]:
    """Bytes a second that copying (read and written bytes) and summing (read bytes) a large tensor move."""
    source, copy = torch.ones(n_bytes // 4), torch.empty(n_bytes // 4)
    copy_s = _median_s(lambda: copy.copy_(source), n_repeats)
    read_s = _median_s(lambda: source.sum(), n_repeats)
    return {"copy": 2 * n_bytes / copy_s, "read": n_bytes / read_s}


def weight_bytes(config: DecoderConfig, layer_bytes: float, head_bytes: float) -> float:
    """Bytes of every matrix that a pass multiplies by; of the embedding only the tokens' rows are read.

    Args:
        config: the model's.
        layer_bytes: a weight of the layers.
        head_bytes: a weight of the head.
    """
    n_heads = 2 * config.n_heads + 2 * config.n_kv_heads  # queries and outputs, keys and values
    a_layer = n_heads * config.head_dim * config.n_features + 3 * config.n_features * config.n_intermediate
    return config.n_layers * a_layer * layer_bytes + config.n_vocab * config.n_features * head_bytes


def bytes_per_weight(model: Decoder) -> tuple[float, float]:
    """Return the bytes of a weight of the layers and of the head; 4-bit blocks of 32 have two constants."""
    sizes = {"Linear": float(model.dtype.itemsize), "Float32Linear": 4.0, "RefinedLinear": 2.0, "Int8Linear": 1.0}
    sizes |= dict.fromkeys(("Int4Linear", "WideInt4Linear"), 0.5 + 2 * 2 / 32)  # a narrow pass reads no wide copy
    layers, head = (sizes[name] for name in model.arithmetic.partition(":")[0].split(", "))
    return layers, head


@torch.inference_mode()
def pass_parts(model: Decoder, n_tokens: int, cache_length: int, n_repeats: int) -> dict[str, float]:
    """Median milliseconds of a pass by part: matrix products, attention, norms, and all else.

    Args:
        model: the target.
        n_tokens: of the pass.
        cache_length: tokens in the cache before it, whatever they are.
        n_repeats: passes timed after one that warms up.
    """
    cache = model.new_cache(1, cache_length + n_tokens)
    tokens = torch.ones(n_tokens, dtype=torch.int64, device=model.device)
    parts: dict[str, list[float]] = defaultdict(list)
    for _ in range(n_repeats + 1):
        cache.lengths[0] = cache_length
        with timed_parts() as seconds:
            begin = time.perf_counter()
            model.forward(TokenBatch(tokens, [n_tokens]), cache)
            seconds[REST] = time.perf_counter() - begin - sum(seconds.values())
        for name, value in seconds.items():
            parts[name].append(value)
    return {name: statistics.median(parts[name][1:]) * 1e3 for name in PARTS}


@contextmanager
def timed_parts() -> Iterator[dict[str, float]]:
    """Inside the block, add up the seconds of matrix products, attention and norms."""
    seconds: dict[str, float] = {}
    depth = 0

    def timed(call: Callable[..., Any], part: str) -> Callable[..., Any]:
        def run(*args: Any, **kwargs: Any) -> Any:
            nonlocal depth
            depth += 1
            begin = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                depth -= 1
                if depth == 0:  # a product inside a product is counted once
                    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - begin

        return run

    with ExitStack() as undo:
        for owner, name, part in _places():
            call = getattr(owner, name)
            setattr(owner, name, timed(call, part))
            undo.callback(setattr, owner, name, call)
        yield seconds


def _places() -> Iterator[tuple[Any, str, str]]:
    for kind in vars(linear).values():
        if isinstance(kind, type) and kind.__module__ == linear.__name__:
            for name in ("__call__", "multiply", "add"):
                if name in vars(kind):
                    yield kind, name, PRODUCTS
    yield functional, "scaled_dot_product_attention", ATTENTION
    yield functional, "rms_norm", NORMS


def _median_s(run: Callable[[], object], n_repeats: int) -> float:
    seconds = []
    for _ in range(n_repeats + 1):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds[1:])
