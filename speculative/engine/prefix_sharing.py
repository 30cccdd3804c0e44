"""A prompt begins with what is already known of its first tokens, of requests that have ended and of those at work."""

import time
from collections.abc import Sequence

from speculative.engine.active_request import Running
from speculative.engine.kept_prefixes import KeptPrefixes, as_tokens, n_common
from speculative.engine.prompt_reading import PromptReading
from speculative.protocols.kv_cache import KVCache

LEAST = 32
"""Tokens: less is neither copied nor waited for."""


class PrefixSharing:
    """Copies keys, values and states of first tokens that a prompt has in common with another text.

    A prompt waits for another one that is being read where it can copy more of it then: of several requests with one
    prompt, the first reads it.

    Args:
        cache: the engine's keys and values.
        most_bytes: of what is kept of requests that have ended.

    Attributes:
        kept: what is.
    """

    def __init__(self, cache: KVCache, most_bytes: int) -> None:
        self._cache, self.kept = cache, KeptPrefixes(cache, most_bytes)

    def keep(self, state: Running) -> None:
        """Keep what the row of a request holds of its text, all but the last token."""
        self.kept.keep(state, len(state.tokens) - 1)

    def ready(self, running: Sequence[Running], readings: Sequence[PromptReading]) -> list[PromptReading]:
        """Let prompts begin with what is known of them, and return those that need not wait for another.

        Args:
            running: requests whose prompts are read.
            readings: prompts that are being read, first come first.
        """
        found = []
        for i, reading in enumerate(readings):
            if reading.n_read == 0:
                begin = time.perf_counter()
                if self._waits(reading, running, readings[:i]):
                    continue
                reading.state.stats.prefill_s += time.perf_counter() - begin
            found.append(reading)
        return found

    def _waits(self, reading: PromptReading, running: Sequence[Running], before: Sequence[PromptReading]) -> bool:
        """Whether a prompt is to wait for one before it; where not, it begins with what it can have now."""
        tokens = as_tokens(reading.state.tokens[:-1])  # the last one is read for its logits
        others = [(state, len(state.tokens) - 1) for state in running]
        others += [(other.state, other.n_read) for other in before]
        common = [n_common(tokens, as_tokens(state.tokens)) for state, _ in others]
        held = [min(n, n_held) for n, (_, n_held) in zip(common, others, strict=True)]
        most, n_kept = max(held, default=0), self.kept.longest(tokens)
        if max(common, default=0) >= max(most, n_kept) + LEAST:
            return True
        if n_kept >= max(most, LEAST):
            self.kept.fill(reading.state, n_kept)
            reading.begin_at(n_kept)
        elif most >= LEAST:
            self._copy(others[held.index(most)][0], reading.state, most)
            reading.begin_at(most)
        return False

    def _copy(self, source: Running, state: Running, n: int) -> None:
        self._cache.copy(source.row, state.row, n)
        assert source.states is not None
        assert state.states is not None
        state.states.begin_with(source.states.first(n))
