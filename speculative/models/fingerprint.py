"""What tells one model from another: a digest of facts and of some of every tensor's numbers."""

import hashlib
from collections.abc import Iterable

import torch

_SAMPLE = 4096  # numbers of each tensor, evenly spaced: milliseconds for a model of gigabytes


def sample_digest(tensor: torch.Tensor) -> str:
    """Return a digest of a tensor's shape and of 4,096 to 8,191 evenly spaced numbers (all of a smaller one).

    Any training changes them; a change of a few single weights may go unseen.

    Raises:
        ValueError: if one of these numbers is NaN or infinite.
    """
    flat = tensor.detach().reshape(-1)
    sample = flat[:: max(1, len(flat) // _SAMPLE)].double().cpu()
    if not sample.isfinite().all():
        raise ValueError("holds NaN or infinity")
    return hashlib.sha256(f"{tuple(tensor.shape)}".encode() + sample.numpy().tobytes()).hexdigest()


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether none of a tensor's numbers, of which there is one at least, is NaN or infinite; nothing is copied."""
    least, largest = torch.aminmax(tensor)  # NaN where there is one
    return bool(least.isfinite() & largest.isfinite())


def model_fingerprint(facts: str, digests: Iterable[tuple[str, str]]) -> str:
    """Return a digest of a model in memory.

    Args:
        facts: configuration, dtype and way of computing.
        digests: of the weights by name, each of `sample_digest`.
    """
    total = hashlib.sha256(facts.encode())
    for name, digest in sorted(digests):
        total.update(f"{name}:{digest}\n".encode())
    return total.hexdigest()
