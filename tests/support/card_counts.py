"""What a card would have done: kernels launched, bytes moved, and when the host stood still for it."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

# Operations whose result's shape or value the host must know before it can go on.
_WAITING = {"_local_scalar_dense", "nonzero", "equal", "masked_select", "_unique2", "unique_consecutive", "bincount"}
_WAITING |= {"repeat_interleave", "is_nonzero"}
FLASH_ROWS = "torch_attn::_varlen_attn"
# Composite operations that a card runs as one kernel; left whole so that they count as one.
_WHOLE = {"linear", "rms_norm", "scaled_dot_product_attention", "layer_norm"}
_NO_KERNEL = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "lift_fresh", "set_", "resize_"}
_NO_KERNEL |= {"_reshape_alias", "_unsafe_view"}


@dataclass
class Counts:
    """What happened between two looks.

    Attributes:
        launches: (operation, bytes of all tensors that it takes and gives), in order.
        to_host: waits until a value has reached the host, by the line that asked.
        to_device: waits until pageable memory has been copied to the card, by the line that asked. PyTorch
            synchronises the stream after such a copy (ATen/native/cuda/Copy.cu).
    """

    launches: list[tuple[str, int]] = field(default_factory=list)
    to_host: Counter[str] = field(default_factory=Counter)
    to_device: Counter[str] = field(default_factory=Counter)

    @property
    def n_waits(self) -> int:
        """Waits in both directions."""
        return self.to_host.total() + self.to_device.total()

    @property
    def n_bytes(self) -> int:
        """An upper bound of the memory traffic of all launches."""
        return sum(size for _, size in self.launches)

    @property
    def kernels(self) -> list[str]:
        """Operations in order, as a graph would record them."""
        return [name for name, _ in self.launches]


class CountingMode(TorchDispatchMode):
    """Counts the aten operations below one call.

    Args:
        counts: added to.
        where: gives the line that waits are booked on.
    """

    def __init__(self, counts: Counts, where: Callable[[], str]) -> None:
        super().__init__()
        self._counts, self._where = counts, where

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name, is_composite, is_view = _facts(func)
        if is_composite and name not in _WHOLE:
            with self:
                return func.decompose(*args, **kwargs)
        if name == "_local_scalar_dense" and args[0].is_meta:
            result = torch.ones((), dtype=args[0].dtype).item()  # a value that nothing holds: finite, true
        elif name == FLASH_ROWS and not args[0].is_meta:  # which no CPU does
            result = (flash_rows(args, kwargs), torch.empty(0), torch.empty(0))
        elif func is torch.ops.aten.mm.dtype and not args[0].is_meta:  # half precision into float32, as no CPU does it
            result = torch.mm(args[0].to(args[2]), args[1].to(args[2]))
        else:
            result = func(*args, **kwargs)
        if name in _WAITING or name.rstrip("_") in _WAITING:
            self._counts.to_host[f"{self._where()} {name}"] += 1
        elif not is_view and name not in _NO_KERNEL:
            self._counts.launches += _launches(name, args, kwargs, result)
        return result


@cache
def _facts(func: Any) -> tuple[str, bool, bool]:
    """Name an operation, and say whether it is made of others, and whether it only looks at memory in another way."""
    is_composite = torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd")
    return func.name().removeprefix("aten::").partition(".")[0], is_composite, func.is_view


def _launches(name: str, args: Any, kwargs: Any, result: Any) -> list[tuple[str, int]]:
    """Return the kernels of an operation: one, but for attention."""
    if name == FLASH_ROWS:  # reads the keys that rows see, not the whole cache; split over the keys for few queries
        (query, key, _, begins), longest = args[:4], args[6]
        seen = 2 * (len(begins) - 1) * longest * key.shape[2:].numel()
        return [("flash rows", (2 * query.numel() + seen) * query.element_size()), ("flash rows combine", 0)]
    if name in ("index", "embedding"):  # reads what it gives, not the table
        size = 2 * result.numel() * result.element_size()
    elif name in ("index_put", "index_put_"):  # writes what it takes, not all that lies around it
        size = 2 * args[2].numel() * args[2].element_size()
    else:
        tensors = [leaf for leaf in leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
        size = sum({id(t) if t.is_meta else t.data_ptr(): t.numel() * t.element_size() for t in tensors}.values())
    if name != "scaled_dot_product_attention":
        return [(name, size)]
    mask = kwargs.get("attn_mask", args[3] if len(args) > 3 else None)
    if mask is None and args[0].dtype in (torch.bfloat16, torch.float16):
        return [("sdpa flash", size), ("sdpa flash combine", 0)]  # split over the keys for few queries
    if mask is None or all(stride % 8 == 0 for stride in mask.stride()[:-1]):
        return [("sdpa efficient", size)]
    # ATen/native/transformers/attention.cpp, pad_bias: a call pads such a mask to a multiple of 8 keys, then slices
    return [("sdpa mask pad fill", 0), ("sdpa mask pad copy", 0), ("sdpa efficient", size)]


def flash_rows(args: Any, kwargs: Any) -> torch.Tensor:
    """What torch's varlen_attn gives for rows that are pages, by the formula: (n, h, hd)."""
    names = ("query", "key", "value", "begins", "_", "_", "_", "causal", "scale", "window", "_", "n_keys", "pages")
    query, key, value, begins, window, n_keys, pages = (
        {**dict(zip(names, args, strict=False)), **kwargs}[name]
        for name in ("query", "key", "value", "begins", "window", "n_keys", "pages")
    )
    assert (begins.dtype, n_keys.dtype, pages.dtype, list(window)) == (*[torch.int32] * 3, [-1, 0])
    assert key.shape[1] % 256 == 0
    assert query.stride(-1) == key.stride(-1) == value.stride(-1) == 1
    found = torch.empty(query.shape, dtype=query.dtype)
    for begin, end, n, page in zip(begins[:-1], begins[1:], n_keys, pages[:, 0], strict=True):
        seen = torch.ones(end - begin, n, dtype=torch.bool).tril(n - (end - begin))  # the last query sees all
        rows = (query[begin:end].transpose(0, 1), *(held[page, :n].transpose(0, 1) for held in (key, value)))
        mixed = torch.nn.functional.scaled_dot_product_attention(*rows, attn_mask=seen, enable_gqa=True)
        found[begin:end] = mixed.transpose(0, 1)
    return found


def leaves(value: Any) -> Iterator[Any]:
    """Go through all parts of nested tuples, lists and dicts."""
    if isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from leaves(part)
    else:
        yield value
