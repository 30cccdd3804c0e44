"""Prompts that are being read: a chunk a step, in the pass of the rounds of those requests that run."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import torch

from speculative.engine.active_request import Running
from speculative.engine.target_rows import target_rows
from speculative.engine.verify import Verification
from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.selector import QueryState
from speculative.protocols.state_rows import LAST
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.pinned import without_waiting
from speculative.sampling.token_sampler import NO_TOKENS


@dataclass(slots=True, eq=False)
class PromptReading:
    """A request whose prompt is being read.

    Attributes:
        state: the request; its cache row holds the tokens read.
        n_read: how many they are.
    """

    state: Running
    n_read: int = 0
    _hidden_sum: torch.Tensor | None = None  # (d,) float32
    _ends: tuple[torch.Tensor, torch.Tensor] | None = None  # logits (1, v) and hidden state (d,) of the last token

    @property
    def n_left(self) -> int:
        """Tokens of the prompt that are not read yet."""
        return len(self.state.tokens) - self.n_read

    def settle(self) -> None:
        """Begin anew where a pass that raised has left the row otherwise than it was."""
        if self.state.cache.lengths[self.state.row] != self.n_read:
            self.state.cache.truncate(self.state.row, 0)
            self.n_read, self._hidden_sum, self._ends, self.state.stats.n_cached = 0, None, None, 0

    def begin_at(self, n: int) -> None:
        """Count the first `n` tokens as read, which were copied to the row and to the states."""
        assert self.state.states is not None
        self._hidden_sum = self.state.states.since(0, (LAST,)).sum(0, dtype=torch.float32)
        self.n_read = self.state.stats.n_cached = n

    def take(self, n: int, output: ForwardOutput, begin: int, logits: torch.Tensor | None) -> None:
        """Note that the next `n` tokens were read.

        Args:
            n: tokens.
            output: of the pass.
            begin: where they stand among its tokens.
            logits: (1, v) of the prompt's last token, where it is one of them.
        """
        hidden, state = output.hidden[begin : begin + n], self.state
        if state.states is not None:
            state.states.put(self.n_read, output, begin, begin + n)
        part = hidden.sum(0, dtype=torch.float32)  # float16 ends at 65,504
        self._hidden_sum = part if self._hidden_sum is None else self._hidden_sum + part
        self.n_read += n
        if logits is not None:
            self._ends = logits, hidden[-1].float()

    def first_token(self) -> tuple[Verification, QueryState]:
        """Return the token that follows the prompt, once all of it is read, and what a selector may know of it."""
        begin = time.perf_counter()
        assert self._ends is not None
        assert self._hidden_sum is not None
        logits, last = self._ends
        state = self.state
        [rows] = target_rows(logits, [1], state.n_tokens)
        verification = state.verify(rows, NO_TOKENS)
        state.stats.prefill_s += time.perf_counter() - begin
        return verification, QueryState(state.request, self._hidden_sum / self.n_read, last)


class Chunk(NamedTuple):
    """The next `n` tokens of a prompt, to be read in one pass."""

    reading: PromptReading
    n: int

    @property
    def token_ids(self) -> list[int]:
        """The tokens."""
        first = self.reading.n_read
        return self.reading.state.tokens[first : first + self.n]

    @property
    def is_last(self) -> bool:
        """Whether the prompt ends with them."""
        return self.n == self.reading.n_left


def next_chunks(readings: Sequence[PromptReading], most: int) -> list[Chunk]:
    """Return what is to be read in a step: at most so many tokens, of each prompt all that is left or `most` of them.

    A prompt's chunks are the same whatever else is read. The first prompt always gets its turn; a shorter one may go
    before another that no longer fits into the step.

    Args:
        readings: first come, first served.
        most: tokens.
    """
    chunks, room = [], most
    for reading in readings:
        reading.settle()
        n = min(reading.n_left, most)
        if 0 < n <= room:
            chunks.append(Chunk(reading, n))
            room -= n
    return chunks


def with_chunks(
    batch: TokenBatch | None, cache: KVCache, chunks: Sequence[Chunk]
) -> tuple[TokenBatch, KVCache, list[int]]:
    """Return a pass that reads chunks too, after a round's tokens: what to call the target with.

    Args:
        batch: a round's, whose logits are all needed; None for a pass of chunks alone.
        cache: of all rows.
        chunks: at least one.

    Returns:
        The tokens, the cache, and which tokens' logits are needed: of the chunks only where a prompt ends.
    """
    tokens = torch.tensor([*chain.from_iterable(chunk.token_ids for chunk in chunks)])
    token_ids = without_waiting(tokens, chunks[0].reading.state.model.device)
    rows, counts = [chunk.reading.state.row for chunk in chunks], [chunk.n for chunk in chunks]
    needed: list[int] = []
    if batch is not None:
        needed = [*range(len(batch.token_ids))]
        rows, counts = [*batch.rows, *rows], [*batch.counts, *counts]
        token_ids = torch.cat([batch.token_ids, token_ids])
    end = len(needed)
    for chunk in chunks:
        end += chunk.n
        if chunk.is_last:
            needed.append(end - 1)
    return TokenBatch.in_rows(token_ids, counts, rows), cache, needed or [end - 1]


def take_chunks(chunks: Sequence[Chunk], output: ForwardOutput, n_before: int) -> None:
    """Give each prompt what the pass of `with_chunks` gave it.

    Args:
        chunks: as there.
        output: of the pass.
        n_before: tokens of the round.
    """
    begin = n_logits = n_before
    for chunk in chunks:
        logits = output.logits[n_logits : n_logits + 1] if chunk.is_last else None
        n_logits += chunk.is_last
        chunk.reading.take(chunk.n, output, begin, logits)
        begin += chunk.n


def forward_with_chunks(
    model: CausalLM, batch: TokenBatch | None, cache: KVCache, chunks: Sequence[Chunk]
) -> ForwardOutput:
    """Read a round's tokens, where there are some, and chunks in one pass, and give each prompt its part of it."""
    output = model.forward(*with_chunks(batch, cache, chunks))
    take_chunks(chunks, output, 0 if batch is None else len(batch.token_ids))
    return output


def read_chunks(model: CausalLM, cache: KVCache, chunks: Sequence[Chunk]) -> None:
    """Read chunks in a pass of their own, or each in one where the model would pad the shorter ones."""
    for part in [chunks] if model.packs_rows else [[chunk] for chunk in chunks]:
        begin = time.perf_counter()
        forward_with_chunks(model, None, cache, part)
        share_seconds(part, time.perf_counter() - begin)


def share_seconds(chunks: Sequence[Chunk], seconds: float) -> None:
    """File the seconds of reading, by the tokens of each prompt."""
    n = sum(chunk.n for chunk in chunks)
    for chunk in chunks:
        chunk.reading.state.stats.prefill_s += seconds * chunk.n / n
