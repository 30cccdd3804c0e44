"""CUDA graphs: a program's kernels recorded once, and launched together from then on."""

import threading
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch

Result = TypeVar("Result")


class CudaRecorder:
    """Records on one card, all graphs in one pool of memory: they run one after the other, and may share what they use.

    Of all recorders of a process one works at a time, as CUDA asks, on a stream of its card.

    Args:
        device: the card.

    Source: PyTorch, "CUDA Graphs" (docs.pytorch.org/docs/stable/notes/cuda.html).
    """

    _one_at_a_time: ClassVar = threading.Lock()

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has not typed it

    def warm_up(self, program: Callable[[], object]) -> int:
        """Run a program on a stream of its own, and wait for it; return the memory that it took, bytes."""
        device, stream = self._device, self._stream
        with self._one_at_a_time:
            torch.cuda.reset_peak_memory_stats(device)
            held = torch.cuda.memory_allocated(device)
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                program()
            torch.cuda.synchronize(device)
            return int(torch.cuda.max_memory_allocated(device) - held)

    def record(self, program: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Return what launches the graph of a program, and the program's result, which each launch writes anew."""
        graph, stream = torch.cuda.CUDAGraph(), self._stream
        with (
            self._one_at_a_time,
            torch.cuda.stream(stream),  # which card is captured, and what a capture that fails does not leave
            torch.cuda.graph(graph, pool=self._pool, stream=stream, capture_error_mode="thread_local"),
        ):
            result = program()
        return graph.replay, result
