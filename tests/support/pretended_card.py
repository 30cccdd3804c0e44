"""A CUDA device that is not there: CPU tensors that claim to live on cuda:0.

Inside `with PretendedCard() as card:` every tensor asked for on "cuda" is a CPU tensor of class `OnCard`. Its values
are real, so whole texts can be generated and compared. What a card would not do is refused as it would refuse it:
operations over tensors of two devices (CPU tensors of no dimension and CPU indices pass, as on a card), and `numpy()`.
What a card does is counted: see `Counts`. Which kernel a card picks, how it rounds, and races between streams cannot
be seen this way.
"""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch.overrides import TorchFunctionMode

from tests.support import card_counts
from tests.support.card_counts import CountingMode, Counts, leaves

CUDA = torch.device("cuda", 0)
MEMORY = 80 << 30
_DEVICE, _IS_CUDA, _IS_CPU = (getattr(torch.Tensor, name).__get__ for name in ("device", "is_cuda", "is_cpu"))
_CLAIMS = {_DEVICE: CUDA, _IS_CUDA: True, _IS_CPU: False}
_OWN_FILES = (__file__, card_counts.__file__)
_HOST_MEMORY = {torch.Tensor.numpy, torch.Tensor.__array__}
_READS = {torch.Tensor.tolist, torch.Tensor.cpu}
# Calls that take no CPU tensor beside one of a card, not even one of no dimension.
_STRICT = {"cat", "stack", "matmul", "linear", "index_put", "index_copy_", "scatter_"}


class OnCard(torch.Tensor):
    """A tensor that claims to be on the card."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if PretendedCard.active is None:
            raise RuntimeError("a tensor of a pretended card was used outside of `with PretendedCard()`")
        return PretendedCard.active.run(func, args, kwargs or {})


class PretendedCard(TorchFunctionMode):
    """See the module's text.

    Args:
        inner: "cpu" for real values; "meta" for none, to count launches and bytes at sizes that no memory here holds.
        package: path part of the code whose lines waits are booked on.
    """

    active: "PretendedCard | None" = None

    def __init__(self, inner: str = "cpu", package: str = "/speculative/") -> None:
        super().__init__()
        self._inner, self._package, self._counts, self._entered = inner, package, Counts(), ExitStack()

    def __enter__(self) -> "PretendedCard":
        PretendedCard.active = self
        facts: dict[str, Any] = {"mem_get_info": (MEMORY, MEMORY), "memory_reserved": 0, "memory_allocated": 0}
        facts |= {"get_device_name": "pretended card", "get_device_capability": (9, 0), "is_bf16_supported": True}
        for name, value in facts.items():
            self._entered.enter_context(patch.object(torch.cuda, name, lambda device=None, value=value: value))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._entered.close()
        PretendedCard.active = None

    def counted(self) -> Counts:
        """Return the counts since the last call."""
        counts, self._counts = self._counts, Counts()
        return counts

    @contextmanager
    def as_one_launch(self, name: str) -> Iterator[None]:
        """Count all operations inside as one launch, and their bytes and waits as they are."""
        outer, self._counts = self._counts, Counts()
        try:
            yield
        finally:
            inside, self._counts = self._counts, outer
            outer.launches.append((name, inside.n_bytes))
            outer.to_host += inside.to_host
            outer.to_device += inside.to_device

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.run(func, args, kwargs or {})

    def run(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do one call of torch as a card would."""
        found = list(leaves((args, kwargs)))
        has_cards = any(isinstance(leaf, OnCard) for leaf in found)
        if func in _CLAIMS and has_cards:
            return _CLAIMS[func]
        if func in _HOST_MEMORY and has_cards:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        if func is torch.Tensor.pin_memory:
            return _pinned(*args)
        if has_cards:
            self._refuse_mixing(func, args, found)
        args, kwargs, wanted = self._device_of(func, args, kwargs)
        if not has_cards and wanted != "cuda":
            with torch._C.DisableTorchFunction():
                return func(*args, **kwargs)
        self._count_copies(func, args, kwargs, wanted, has_cards)
        is_copy = func in _READS or func is torch.tensor or (func is torch.Tensor.to and not has_cards)
        args, kwargs = _mapped(_bare, args), _mapped(_bare, kwargs)
        with torch._C.DisableTorchFunction():
            if is_copy:
                result = func(*args, **kwargs)
            else:
                with CountingMode(self._counts, self._where):
                    result = func(*args, **kwargs)
            if wanted == "cpu" or (wanted is None and not has_cards) or isinstance(result, torch.Size):
                return result
            return _mapped(self._claimed, result)

    def _device_of(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, str | None]:
        """Take the device out of a call: arguments for a tensor that is here, and the device asked for."""
        wanted = None
        given = kwargs.get("device")
        if given is None and func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], str | torch.device):
            given = args[1]
        if given is not None:
            wanted = torch.device(given).type
            inner = "cpu" if func is torch.tensor else self._inner
            here = inner if wanted == "cuda" else given
            if "device" in kwargs:
                kwargs = {**kwargs, "device": here}
            else:
                args = (args[0], here, *args[2:])
        elif func is torch.Tensor.to and len(args) > 1 and isinstance(args[1], torch.Tensor):
            wanted = "cuda" if isinstance(args[1], OnCard) else "cpu"
        elif func is torch.Tensor.cpu:
            wanted = "cpu"
        return args, kwargs, wanted

    def _count_copies(self, func: Any, args: Any, kwargs: Any, wanted: str | None, has_cards: bool) -> None:
        if func in _READS or (func is torch.Tensor.to and wanted == "cpu" and has_cards):
            self._counts.to_host[f"{self._where()} {func.__name__}"] += 1
        is_upload = func is torch.tensor or (func is torch.Tensor.to and wanted == "cuda" and not has_cards)
        is_pinned = func is torch.Tensor.to and getattr(args[0], "is_pretended_pinned", False)
        if is_upload and not (is_pinned and kwargs.get("non_blocking")):
            self._counts.to_device[f"{self._where()} {func.__name__}"] += 1

    def _refuse_mixing(self, func: Any, args: Any, found: list[Any]) -> None:
        name = getattr(func, "__name__", str(func))
        if name in ("__getitem__", "__setitem__"):
            if not isinstance(args[0], OnCard):
                raise RuntimeError("indices should be either on cpu or on the same device as the indexed tensor (cpu)")
            for part in args[1] if isinstance(args[1], tuple) else (args[1],):
                if isinstance(part, torch.Tensor) and part.dtype == torch.bool:
                    self._counts.to_host[f"{self._where()} boolean mask"] += 1
                elif isinstance(part, list | np.ndarray) or (isinstance(part, torch.Tensor) and _of_host(part)):
                    self._counts.to_device[f"{self._where()} index from the host"] += 1
            return
        hosts = [leaf for leaf in found if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnCard)]
        if name == "copy_":
            is_pinned = all(getattr(host, "is_pretended_pinned", False) for host in hosts)
            if hosts and not (is_pinned and any(leaf is True for leaf in found)):  # non_blocking
                side = self._counts.to_device if isinstance(args[0], OnCard) else self._counts.to_host
                side[f"{self._where()} copy_"] += 1
        elif name not in ("to", "type_as") and (
            any(host.ndim for host in hosts) or (hosts and (name in _STRICT or "out" in name))
        ):
            raise RuntimeError(
                "Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu! "
                f"({name} at {self._where()})"
            )

    def _claimed(self, value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or isinstance(value, OnCard):
            return value
        return (value.to("meta") if self._inner == "meta" else value).as_subclass(OnCard)

    def _where(self) -> str:
        """Return the innermost line of the package."""
        frame = sys._getframe(1)
        while frame is not None:
            before, found, path = frame.f_code.co_filename.rpartition(self._package)
            if found and "/tests/" not in f"{before}/" and frame.f_code.co_filename not in _OWN_FILES:
                return f"{self._package.strip('/')}/{path}:{frame.f_lineno}"
            frame = frame.f_back
        return "?"


def _of_host(tensor: torch.Tensor) -> bool:
    return tensor.ndim > 0 and not isinstance(tensor, OnCard)


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    with torch._C.DisableTorchFunction():
        copy = tensor.clone()
    copy.is_pretended_pinned = True  # type: ignore[attr-defined]
    return copy


def _bare(value: Any) -> Any:
    if isinstance(value, OnCard):
        with torch._C.DisableTorchFunction():
            return value.as_subclass(torch.Tensor)
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == "cuda" else value


def _mapped(function: Any, value: Any) -> Any:
    """Return the same nesting with a function applied to every part."""
    kind = type(value)
    if kind in (tuple, list):
        return kind([_mapped(function, part) for part in value])
    if isinstance(value, tuple):  # what torch returns: torch.return_types.max and the like
        return value if isinstance(value, torch.Size) else kind([_mapped(function, part) for part in value])
    if kind is dict:
        return {key: _mapped(function, part) for key, part in value.items()}
    return function(value)
