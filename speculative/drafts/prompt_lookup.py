"""Copy what followed the same words last time."""

from collections.abc import Sequence
from typing import Literal, Self

from pydantic import Field, model_validator

from arms.checks import at_least
from speculative.drafts.spec import DraftedTarget, DraftSpec
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.shared_cache import SharedCache
from speculative.sampling.token_sampler import GREEDY, TokenSampler


class PromptLookup(Draft):
    """Proposes the continuation of the longest earlier match of the prefix's last tokens.

    The latest match wins. A match that reaches the end of the prefix goes on copying from its own copy, which draws out
    a repetition.

    Proposal: deterministic. Availability: any prefix, of any length. Lag: none that costs a model's pass; the index
    grows with the text, and a session reads what it missed when it is next asked. Cost: a step of the index per token
    read, and next to nothing per token proposed.

    Args:
        max_ngram: longest match tried, tokens.
        min_ngram: shortest match that is trusted.

    Attributes:
        name: "prompt_lookup", with the two lengths where they are not the defaults.

    Raises:
        ValueError: if not 1 <= min_ngram <= max_ngram.

    Source: Saxena 2023, "Prompt Lookup Decoding"; Yang et al. 2023 (arXiv:2304.04487).
    """

    class Spec(DraftSpec):
        """The settings in a pool file."""

        kind: Literal["prompt_lookup"] = "prompt_lookup"
        max_ngram: int = Field(4, ge=1)
        min_ngram: int = Field(1, ge=1)

        @model_validator(mode="after")
        def _check(self) -> Self:
            if self.min_ngram > self.max_ngram:
                raise ValueError(f"min_ngram must be <= max_ngram, got {self.min_ngram} > {self.max_ngram}")
            return self

        def build(self, target: DraftedTarget) -> Draft:
            """Make the draft."""
            return PromptLookup(self.max_ngram, min_ngram=self.min_ngram)

    def __init__(self, max_ngram: int = 4, *, min_ngram: int = 1) -> None:
        if at_least(min_ngram, 1, "min_ngram") > at_least(max_ngram, 1, "max_ngram"):
            raise ValueError(f"min_ngram must be <= max_ngram, got {min_ngram} > {max_ngram}")
        self.max_ngram, self.min_ngram, self.max_match_length = max_ngram, min_ngram, max_ngram
        self.name = "prompt_lookup" + ("" if (min_ngram, max_ngram) == (1, 4) else f"_{min_ngram}to{max_ngram}")

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Make a session with an empty index; the prompt is read at the first proposal."""
        return _LookupSession(self.max_ngram, self.min_ngram)


class _LookupSession(DraftSession):
    def __init__(self, max_ngram: int, min_ngram: int) -> None:
        self._max_ngram, self._min_ngram = max_ngram, min_ngram
        self._continuations: dict[tuple[int, ...], int] = {}  # n-gram -> position after its latest occurrence
        self._n_read = 0

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        size, position = self._longest_match(prefix)
        if size == 0:
            return Proposal([])
        copied, period = list(prefix[position : position + draft_length]), len(prefix) - position
        return Proposal(copied if period >= draft_length else (copied * -(-draft_length // period))[:draft_length])

    def match_length(self, prefix: Sequence[int]) -> int:
        return self._longest_match(prefix)[0]

    def _longest_match(self, prefix: Sequence[int]) -> tuple[int, int]:
        """Length of the longest n-gram that ends the prefix and stands in it earlier, and where that goes on."""
        self._read(prefix)
        ngram = tuple(prefix[-self._max_ngram :])
        while len(ngram) >= self._min_ngram:
            position = self._continuations.get(ngram)
            if position is not None:
                return len(ngram), position
            ngram = ngram[1:]
        return 0, -1

    def _read(self, prefix: Sequence[int]) -> None:
        """Index every n-gram that is followed by a token: the prefix's own last one is not."""
        continuations, longest, shortest = self._continuations, self._max_ngram, self._min_ngram
        for position in range(max(shortest, self._n_read), len(prefix)):
            ngram = tuple(prefix[position - longest : position] if position > longest else prefix[:position])
            while len(ngram) >= shortest:
                continuations[ngram] = position
                ngram = ngram[1:]
        self._n_read = len(prefix)
