"""What tells one model from another: a digest of facts and of some of every tensor's numbers."""

import hashlib
from collections.abc import Iterable

import torch

_SAMPLE = 4096  # numbers of each tensor, evenly spaced: milliseconds for a model of gigabytes


def model_fingerprint(facts: str, tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    """Return a digest of a model in memory.

    Of each tensor name, shape and 4,096 to 8,191 evenly spaced numbers count (all of a smaller one): any training
    changes them; a change of a few single weights may go unseen.

    Args:
        facts: configuration, dtype and way of computing.
        tensors: the weights by name.
    """
    total = hashlib.sha256(facts.encode())
    for name, tensor in tensors:
        flat = tensor.detach().reshape(-1)
        sample = flat[:: max(1, len(flat) // _SAMPLE)].double().cpu().numpy()
        total.update(f"{name}:{tuple(tensor.shape)}".encode() + sample.tobytes())
    return total.hexdigest()
