"""Recorders that stand for CUDA's: what they record is run again, into the tensors that were given first."""

from contextlib import nullcontext
from dataclasses import fields, is_dataclass

import torch

from tests.support.pretended_card import PretendedCard


class RepeatingRecorder:
    """Keeps each program and runs it again, as a graph would launch its kernels; what the last one gave is spoilt.

    So it is on a card, where graphs of one pool may compute in the memory of each other's results.

    Args:
        fails_at: number of the recording that fails; None for none.
        n_bytes: what a program is said to take.
        on_card: whether the pretended card that is active is to count each graph as one launch.
    """

    def __init__(self, fails_at=None, n_bytes=0, on_card=False):
        self.fails_at, self.n_bytes, self.on_card, self.recorded, self.n_replays = fails_at, n_bytes, on_card, [], 0
        self.last = ()  # what the last replay gave

    def warm_up(self, program):
        program()
        return self.n_bytes

    def record(self, program):
        if len(self.recorded) == self.fails_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        result = program()
        self.recorded.append(result)

        def replay():
            self.n_replays += 1
            if self.last is not result:
                spoil(tensors_of(self.last))
            self.last = result
            with torch.inference_mode(), PretendedCard.active.as_one_launch("graph") if self.on_card else nullcontext():
                for own, new in zip(tensors_of(result), tensors_of(program()), strict=True):
                    own.copy_(new)

        return replay, result


def spoil(tensors):
    """Write what no result holds, NaN or an id that no token has, uncounted by a pretended card."""
    with torch.inference_mode(), torch._C.DisableTorchFunction():
        for tensor in tensors:
            tensor.fill_(torch.nan if tensor.is_floating_point() else -1)


def tensors_of(value):
    """All tensors of a result, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if value is None:
        return []
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    return [tensor for part in value for tensor in tensors_of(part)]
