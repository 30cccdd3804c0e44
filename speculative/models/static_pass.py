"""Passes of few tokens a row as one of few programs: of so many rows and so many tokens each, whatever a round adds."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol

import torch

from speculative.models.attention import Plan
from speculative.models.graphs import Graphs
from speculative.models.rectangle import Rectangle
from speculative.protocols.causal_lm import ForwardOutput
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.kv_store import KVStore
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.picks_of_pass import AskedPicks, PicksOfPass
from speculative.sampling.pinned import without_waiting


class _StaticLM(Protocol):
    """A model whose passes can have static shapes."""

    graphs: Graphs | None
    tapped_layers: tuple[int, ...]

    @property
    def max_positions(self) -> int:
        """Longest prefix, tokens."""

    def static_plan(self, rows: slice, starts: torch.Tensor, width: int, cache: KVStore) -> Plan:
        """Plan a pass whose places only the device knows."""

    def run(
        self,
        token_ids: torch.Tensor,
        plan: Plan,
        cache: KVStore,
        logit_rows: torch.Tensor | None = None,
        n_layers: int | None = None,
    ) -> ForwardOutput:
        """Compute a pass that is planned."""


@dataclass(frozen=True, slots=True)
class _PassProgram:
    """A pass of so many first rows of a store, each with so many tokens: a program of tensors."""

    model: _StaticLM
    store: KVStore
    of_last: bool
    n_layers: int | None
    n_rows: int
    width: int
    picks: PicksOfPass | None = None

    @property
    def key(self) -> Hashable:
        """What it is recorded under, among those on its store."""
        return self.n_rows, self.width, self.of_last, self.n_layers, self.model.tapped_layers, self.picks

    @property
    def sizes(self) -> list[int]:
        """Of what the host sends: each row's start and last cell; where it picks, each cell's number."""
        return [self.n_rows, self.n_rows, 0 if self.picks is None else self.n_rows * self.width]

    def __call__(self, token_ids: torch.Tensor, sent: torch.Tensor) -> ForwardOutput:
        """Compute the cells' (rows * width,) tokens; `sent` (m,) int64 is what `sizes` says, one after another."""
        starts, last, numbers = torch.split(sent, self.sizes)
        plan = self.model.static_plan(slice(0, self.n_rows), starts, self.width, self.store)
        output = self.model.run(token_ids, plan, self.store, last if self.of_last else None, self.n_layers)
        if self.picks is None:
            return output
        n_drafted = last - torch.arange(0, self.n_rows * self.width, self.width, device=last.device)
        return replace(output, accepted=self.picks(output.logits, token_ids, n_drafted, numbers))


def static_pass(
    model: _StaticLM, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None, n_layers: int | None
) -> ForwardOutput | None:
    """Run a pass by a static plan, as a graph where graphs are to be had; arguments as in `Decoder.forward`.

    Passes that ask for logits of some tokens, and do not say of how many layers, read prompts; they are planned by the
    host, as are those of more tokens a row than was announced, and those that come near the end of the cache.

    Returns:
        As `Decoder.forward`; None where it is no such pass.
    """
    graphs, store = model.graphs, cache.store
    if graphs is None or store is None or (logit_rows is not None and n_layers is None):
        return None
    shape = graphs.shape(max(batch.rows) + 1, max(batch.counts), cache.n_rows)
    room = min(cache.capacity, model.max_positions)
    if shape is None or max(cache.lengths[: shape[0]]) + shape[1] > room:
        return None
    if logit_rows is not None and list(logit_rows) != [end - 1 for end in accumulate(batch.counts)]:
        return None
    asked = batch.picks if logit_rows is None else None
    picks = None if asked is None or not graphs.admits(store, asked.program) else asked.program
    program = _PassProgram(model, store, logit_rows is not None, n_layers, *shape, picks)
    if graphs.records(store, program.key):
        _record_all(graphs, program, cache, room)
    layout, device = Rectangle.of(batch, *shape), batch.token_ids.device
    indices = [index or () for index in (layout.cells, layout.tokens, layout.rows)]
    own = [*cache.lengths[: shape[0]], *layout.last, *_numbers(program, layout, asked)]
    sent = without_waiting(torch.tensor([*own, *(i for index in indices for i in index)]), device)
    places, *sent_indices = torch.split(sent, [len(own), *map(len, indices)])
    cells, tokens, rows = (index if len(index) else None for index in sent_indices)
    given = batch.token_ids if cells is None else batch.token_ids[cells]
    output = graphs.run(store, program.key, program, (given, places))
    n, b = len(batch.token_ids), len(batch.counts)
    logits = _of(output.logits, b, rows) if program.of_last else _of(output.logits, n, tokens)
    accepted = None if output.accepted is None else _of(output.accepted, b, rows)
    tapped = tuple(_of(each, n, tokens) for each in output.tapped)
    return ForwardOutput(logits, _of(output.hidden, n, tokens), tapped, accepted)


def _numbers(program: _PassProgram, layout: Rectangle, asked: AskedPicks | None) -> Sequence[int]:
    """Return the number of each cell, that of the token in it; none where nothing is picked."""
    n = program.sizes[-1]
    if asked is None or not n or not asked.numbers:
        return [0] * n
    return asked.numbers if layout.cells is None else [asked.numbers[token] for token in layout.cells]


def _record_all(graphs: Graphs, first: _PassProgram, cache: KVCache, room: int) -> None:
    """Record a pass in all shapes, the largest first: what is in memory then is enough for the others.

    What they compute lies beyond what the rows hold.
    """
    device = first.store.keys.device
    for n_rows, width in graphs.shapes(cache.n_rows):
        if max(cache.lengths[:n_rows]) + width <= room:
            program = replace(first, n_rows=n_rows, width=width)
            own = [*cache.lengths[:n_rows], *range(0, n_rows * width, width), *[0] * program.sizes[-1]]
            places = without_waiting(torch.tensor(own), device)
            token_ids = torch.zeros(n_rows * width, dtype=torch.int64, device=device)
            graphs.prepare(first.store, program.key, program, (token_ids, places))


def _of(x: torch.Tensor, n: int, index: torch.Tensor | None) -> torch.Tensor:
    """Return the first n rows of a tensor, or those of an index."""
    return x[:n] if index is None else x[index]
