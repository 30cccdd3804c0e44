"""Programs of a device that run as graphs: captured at their first use, replayed from then on."""

import threading
import warnings
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar, cast
from weakref import WeakKeyDictionary

import torch

from speculative.models.cuda_recorder import CudaRecorder
from speculative.protocols.free_memory import free_bytes
from speculative.protocols.kv_store import KVStore, StorePool

Result = TypeVar("Result")
_ROWS = (1, 2, 4, 8, 16, 32)  # of a static pass; more rows run without one
_MOST_KINDS = 8  # of sampling, each recorded in all shapes


class Recorder(Protocol):
    """Makes a graph of what a program launches."""

    def warm_up(self, program: Callable[[], object]) -> int:
        """Run a program once, as every library needs before it is recorded; return the memory that it took, bytes."""

    def record(self, program: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
        """Return what launches a program's operations again, and its result, which each launch writes anew."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """One recorded program: what it reads, what launches it, and what it gives."""

    buffers: Sequence[torch.Tensor]
    replay: Callable[[], None]
    result: object


class _OfThread(threading.local):
    """What one thread has recorded: a graph writes its result to one place, which two threads cannot share.

    Attributes:
        recorder: the thread's; None before its first graph.
        graphs: of each store, as long as it is there.
        kinds: of sampling, in which passes on a store may end.
    """

    def __init__(self) -> None:
        self.recorder: Recorder | None = None
        self.graphs: WeakKeyDictionary[KVStore, dict[Hashable, _Graph]] = WeakKeyDictionary()
        self.kinds: WeakKeyDictionary[KVStore, set[Hashable]] = WeakKeyDictionary()


class Graphs:
    """The programs of one model, shared by all engines that use it.

    A program is given tensors of the device and may ask for no value of theirs. Where nothing can record, on a CPU and
    on a build of torch without CUDA, it runs as it is. So it does, once a warning has said why, after a recording has
    failed or there was too little memory for it.

    Args:
        device: of the programs.
        n_positions: the model's context, see `StorePool`.
        make_recorder: makes what records, one a thread; None where nothing can.

    Attributes:
        stores: where the model's caches come from, so that the next one finds the graphs of the last.
        widths: how many new tokens a row of a pass may have, as engines have announced; a row of fewer is filled up.
    """

    def __init__(
        self, device: torch.device, n_positions: int, make_recorder: Callable[[], Recorder] | None = None
    ) -> None:
        self._device, self._make_recorder, self._of_thread = device, make_recorder, _OfThread()
        self.stores = StorePool(n_positions)
        self.widths: set[int] = {1}

    @classmethod
    def of(cls, device: torch.device, n_positions: int) -> "Graphs | None":
        """Return those of a card; None elsewhere, where passes have no static shapes."""
        if device.type != "cuda":
            return None
        return cls(device, n_positions, partial(CudaRecorder, device) if torch.cuda.is_available() else None)

    def shape(self, n_rows: int, width: int, most_rows: int) -> tuple[int, int] | None:
        """Return rows and width of the least static pass that holds so many; None where there is none.

        Args:
            n_rows: of the cache, from its first one on.
            width: most new tokens of a row.
            most_rows: rows that the cache has.
        """
        least = next((own for own in sorted(self.widths) if own >= width), None)
        return None if least is None or n_rows > _ROWS[-1] else (min(_least(n_rows), most_rows), least)

    def shapes(self, most_rows: int) -> list[tuple[int, int]]:
        """Return rows and width of every static pass over a cache of so many rows, the largest first."""
        n_rows = {min(n, most_rows) for n in _ROWS}
        found = [(n, width) for n in n_rows for width in sorted(self.widths)]
        return sorted(found, key=lambda shape: (shape[0] * shape[1], shape), reverse=True)

    def admits(self, store: KVStore, kind: Hashable) -> bool:
        """Whether passes on a store may end in picks of this kind: one of the first few that its thread asks for."""
        kinds = self._of_thread.kinds.setdefault(store, set())
        if len(kinds) < _MOST_KINDS:
            kinds.add(kind)
        return kind in kinds

    @property
    def are_recorded(self) -> bool:
        """Whether new programs are recorded: something can, and no recording has failed."""
        return self._make_recorder is not None

    def records(self, store: KVStore, key: Hashable) -> bool:
        """Whether `run` would record a program first."""
        return self.are_recorded and key not in self._of_thread.graphs.get(store, {})

    def run(
        self, store: KVStore, key: Hashable, program: Callable[..., Result], buffers: Sequence[torch.Tensor]
    ) -> Result:
        """Return what a program gives for these tensors.

        Args:
            store: that it works on; with it, its graphs go.
            key: tells programs on one store apart: holds all that shapes one, and not the store.
            program: called with the tensors, or recorded with copies of them, to which later ones are copied. It may
                write to them, and must do the same again when it is given the same.
            buffers: of one shape a key.

        Returns:
            Of a graph the same tensors every time: they hold until the model's next graph runs.
        """
        self.prepare(store, key, program, buffers)
        graph = self._of_thread.graphs.get(store, {}).get(key)
        if graph is None:
            return program(*buffers)
        for own, given in zip(graph.buffers, buffers, strict=True):
            own.copy_(given)
        graph.replay()
        return cast(Result, graph.result)

    def prepare(
        self, store: KVStore, key: Hashable, program: Callable[..., object], buffers: Sequence[torch.Tensor]
    ) -> None:
        """Record a program unless it is; arguments as in `run`. Those recorded first should take the most memory."""
        make_recorder, held = self._make_recorder, self._of_thread
        if make_recorder is None or not self.records(store, key):
            return
        own = [torch.clone(buffer) for buffer in buffers]
        try:
            held.recorder = held.recorder or make_recorder()
            needed, free = held.recorder.warm_up(partial(program, *own)), free_bytes(self._device)
            if needed > free:
                raise MemoryError(f"one more would take {needed / 1e9:.2f} GB, but {free / 1e9:.2f} GB are free")
            for buffer, given in zip(own, buffers, strict=True):  # which the program may have written to
                buffer.copy_(given)
            replay, result = held.recorder.record(partial(program, *own))
        except Exception as error:
            self._make_recorder = None
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"passes go on without new CUDA graphs: {reason}", stacklevel=3)
            return
        held.graphs.setdefault(store, {})[key] = _Graph(own, replay, result)


def announce(model: object, draft_lengths: Iterable[int]) -> None:
    """Tell a model, where it has graphs, how many draft tokens a row of its passes may have."""
    graphs = getattr(model, "graphs", None)
    if isinstance(graphs, Graphs):
        graphs.widths.update(1 + n for n in draft_lengths)


@contextmanager
def announced(models: Iterable[object], draft_lengths: Sequence[int]) -> Iterator[None]:
    """Announce lengths to models until the block ends."""
    with ExitStack() as undone:
        for graphs in (getattr(model, "graphs", None) for model in models):
            if isinstance(graphs, Graphs):
                undone.callback(setattr, graphs, "widths", set(graphs.widths))
                graphs.widths.update(1 + n for n in draft_lengths)
        yield


def _least(n_rows: int) -> int:
    """Return the least number of rows of a static pass that is not below."""
    return next((n for n in _ROWS if n >= n_rows), n_rows)
