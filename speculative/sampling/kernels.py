"""Kernels of a card's own beside the programs of plain torch that say what they compute."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar

import torch

_log = logging.getLogger(__name__)
_Program = TypeVar("_Program", bound=Callable[..., torch.Tensor])


def kernel_like(
    reference: Callable[..., torch.Tensor], load: Callable[[], _Program], device: torch.device, *example: object
) -> _Program | None:
    """Return Triton's kernel for a program, tried once on an example; None where there is none that works.

    Args:
        reference: what it has to equal.
        load: imports it.
        device: where it is to run.
        example: arguments of both.
    """
    if device.type != "cuda" or not torch.cuda.is_available() or find_spec("triton") is None:
        return None
    there = [part.to(device) if isinstance(part, torch.Tensor) else part for part in example]
    try:
        kernel = load()
        if not torch.equal(kernel(*there), reference(*there)):
            raise RuntimeError("it gives something else")
    except Exception as error:  # of a compiler, a driver or Triton
        _log.info("without Triton's kernel for %s on %s: %s", getattr(reference, "__name__", reference), device, error)
        return None
    return kernel
