"""A draft model's whole proposal as one program of a card: what it has to read, then a pass and a pick a token."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from speculative.drafts.cache_rows import RowSession
from speculative.models.decoder import Decoder
from speculative.protocols.draft import Answer, DraftAsk, Proposal, UnreadProposal
from speculative.protocols.draft_trace import BestTokens
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.kv_store import KVStore
from speculative.protocols.unread_tokens import UnreadTokens
from speculative.sampling.logits import largest_of_rows
from speculative.sampling.pick_program import Numbers, PickProgram
from speculative.sampling.pinned import without_waiting

_MOST_PROGRAMS = 32  # kinds of sampling times shapes, of one draft in one engine


class ProgrammedDraft(Protocol):
    """What is asked of a draft model."""

    name: str
    min_confidence: float
    entry_ids: Tensor | None

    def to_draft(self, token_ids: Tensor) -> Tensor:
        """Map (n,) target ids to the draft's."""

    def to_target(self, token_ids: Tensor) -> Tensor:
        """Map ids of the draft to the target's."""

    def allowed(self, logits: Tensor) -> Tensor:
        """Cut (n, v) logits to the proposable tokens."""

    def own_ids(self, entries: Tensor) -> Tensor:
        """Map (n,) entries of the allowed logits to the draft's ids."""


@dataclass(frozen=True, slots=True)
class _Program:
    """Drafts so many tokens in each of the first rows of a store: the same operations wherever the rows stand."""

    draft: ProgrammedDraft
    model: Decoder
    store: KVStore
    picks: PickProgram
    n_rows: int
    width: int
    n_tokens: int

    @property
    def key(self) -> Hashable:
        """What it is recorded under, among those on its store."""
        return self.draft, self.picks, self.n_rows, self.width, self.n_tokens

    def __call__(self, token_ids: Tensor, places: Tensor, numbers: Tensor) -> tuple[Tensor, ...]:
        """Return tokens and largest logits, (rows, tokens), then what else there is: sureness; masses, distributions.

        Args:
            token_ids: (rows * width,) int64, the target's, that each row has to read, filled up.
            places: (2, rows) int64, what each row holds, and how many tokens it has to read.
            numbers: (tokens, rows), the samplers'.
        """
        (held, n_new), draft = places.unbind(0), self.draft
        last = torch.arange(self.n_rows, device=held.device) * self.width + n_new - 1
        logits, at = self._pass(draft.to_draft(token_ids), held, self.width, last), held + n_new
        columns: list[list[Tensor]] = []
        for j in range(self.n_tokens):
            rows = draft.allowed(logits)
            entries, *drawn = self.picks.pick(rows, numbers[j], draft.entry_ids)
            token = draft.own_ids(entries)
            sure = [BestTokens.of(rows).probabilities] if draft.min_confidence else []
            columns.append([token, largest_of_rows(logits), *sure, *(each for each in drawn if each is not None)])
            if j + 1 < self.n_tokens:
                logits = self._pass(token, at + j, 1, None)
        tokens, *rest = (torch.stack(column, 1) for column in zip(*columns, strict=True))
        return draft.to_target(tokens), *rest

    def _pass(self, token_ids: Tensor, starts: Tensor, width: int, logit_rows: Tensor | None) -> Tensor:
        plan = self.model.static_plan(slice(0, self.n_rows), starts, width, self.store)
        return self.model.run(token_ids, plan, self.store, logit_rows).logits


@torch.inference_mode()
def propose_by_program(
    draft: ProgrammedDraft,
    model: object,
    sessions: Sequence[RowSession],
    asks: Sequence[DraftAsk],
    missing: Sequence[Sequence[int]],
) -> list[Answer] | None:
    """Draft for all requests by one program, which is a graph where graphs are to be had.

    Args:
        draft: says what may be proposed, and where to stop.
        model: the draft's.
        sessions: one a request, all on rows of one cache.
        asks: one a request.
        missing: of each prefix, the tokens that its row does not hold.

    Returns:
        One each; None where there is no such program: without static shapes, where requests do not sample alike, where
        more has to be read than a round adds, near the end of the cache, and after so many other kinds of sampling,
        since each is recorded apart.
    """
    held, rows = sessions[0].held, [session.row for session in sessions]
    cache = held.cache
    if not isinstance(model, Decoder) or model.graphs is None or cache.store is None:
        return None
    picks, n_tokens = asks[0].sampler.program(), max(ask.draft_length for ask in asks)
    if picks is None or any(not ask.unread or ask.sampler.program() != picks for ask in asks):
        return None
    shape = model.graphs.shape(max(rows) + 1, n_tokens + 1, cache.n_rows)
    if shape is None or max(map(len, missing)) > shape[1]:
        return None
    n_rows, width = shape
    n_tokens = width - 1
    if max(cache.lengths[:n_rows]) + width + n_tokens > min(cache.capacity, model.max_positions):
        return None
    if (picks, shape) not in held.programs and len(held.programs) == _MOST_PROGRAMS:
        return None
    held.programs.add((picks, shape))
    program = _Program(draft, model, cache.store, picks, n_rows, width, n_tokens)
    buffers = _buffers(program, cache, rows, asks, missing)
    found = [_of(column, rows) for column in model.graphs.run(cache.store, program.key, program, buffers)]
    for row, ask in zip(rows, asks, strict=True):
        cache.lengths[row] = len(ask.prefix) + ask.draft_length - 1
    return _answers(draft, asks, missing, found)


def _buffers(
    program: _Program, cache: KVCache, rows: Sequence[int], asks: Sequence[DraftAsk], missing: Sequence[Sequence[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Lay out what the program is given; a row that takes no part reads a token beyond what it holds."""
    width, held = program.width, cache.lengths[: program.n_rows]
    token_ids, n_new = [0] * (program.n_rows * width), [1] * program.n_rows
    numbers: list[list[Numbers]] = [[0] * program.n_rows for _ in range(program.n_tokens)]
    for row, ask, tokens in zip(rows, asks, missing, strict=True):
        token_ids[row * width : row * width + len(tokens)] = tokens
        n_new[row] = len(tokens)
        for j, number in enumerate(ask.sampler.numbers(len(ask.prefix), program.n_tokens)):
            numbers[j][row] = number
    device = program.store.keys.device
    sent = without_waiting(torch.tensor([*token_ids, *held, *n_new]), device)
    kind = torch.int64 if isinstance(numbers[0][rows[0]], int) else torch.float64
    there = without_waiting(torch.tensor(numbers, dtype=kind), device)
    return sent[: len(token_ids)], sent[len(token_ids) :].view(2, -1), there


def _of(column: Tensor, rows: Sequence[int]) -> Tensor:
    """Return a copy of some rows, which the next graph would write over."""
    n = len(rows)
    if list(rows) == list(range(n)):
        return column[:n].clone()
    return column[without_waiting(torch.tensor(rows), column.device)]


def _answers(
    draft: ProgrammedDraft, asks: Sequence[DraftAsk], missing: Sequence[Sequence[int]], found: Sequence[Tensor]
) -> list[Answer]:
    token_ids, largest, *rest = found
    is_sure = rest.pop(0).double().cumprod(1) >= draft.min_confidence if draft.min_confidence else None
    masses, probs = (rest[1], rest[0]) if rest else (None, None)
    lengths = [ask.draft_length for ask in asks]
    for i, ask in enumerate(asks):
        drawing = ask.sampler.drawing()
        if drawing is not None and masses is not None and probs is not None:
            for j in range(ask.draft_length):
                drawing.keep(token_ids[i, j : j + 1], probs[i, j : j + 1], masses[i, j : j + 1])
    batch = UnreadTokens(token_ids, lengths, largest, is_sure, masses, probs)
    return [
        UnreadProposal(draft.name, batch, i, Proposal([], len(missing[i])), ask.sampler) for i, ask in enumerate(asks)
    ]
