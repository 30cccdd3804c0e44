"""Copy what mostly followed the longest match, in this text or in earlier outputs."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from arms.checks import not_negative, number
from arms.fingerprint import digest
from speculative.drafts.spec import DraftedTarget, DraftSpec
from speculative.drafts.suffix.store import SuffixStore
from speculative.drafts.suffix.tree import SuffixTree
from speculative.protocols.draft import Draft, DraftSession, Proposal
from speculative.protocols.draft_trace import DraftTrace
from speculative.protocols.shared_cache import SharedCache
from speculative.sampling.token_sampler import GREEDY, TokenSampler


class SuffixDraft(Draft):
    """Proposes, token by token, what most often followed the longest suffix of the text that occurred before.

    The suffix is looked for in the request's own prefix and in a store of earlier outputs; the longer match wins,
    the request's own of two equal ones.

    Proposal: deterministic. Availability: any prefix, of any length. Lag: none that costs a model's pass; a session
    reads what it missed when it is next asked, into a tree of its own. Cost: some steps of the tree per token read (few
    in a short text, many in a loop) and per token proposed.

    Args:
        store: of earlier outputs, which drafts of one tokenizer may share; an empty one if not given.
        learn: whether the text generated for a request goes into the store when its session closes, if this draft
            was ever asked. Prompts do not: they gained nothing for the room they took. A draft that learns says
            other things about the same prefix later on: freeze the store (`store.frozen()`) to measure.
        max_tokens_per_match_token: propose at most this many tokens per token matched, plus `offset`: short matches
            are seldom right for long. None: as many as asked for.
        offset: see there.
        name: unique in a pool.

    Raises:
        ValueError: if `max_tokens_per_match_token` is negative, or it or `offset` not finite.

    Source: Oliaro et al. 2024, "SuffixDecoding" (arXiv:2411.04975); here one path, not a tree of them.
    """

    class Spec(DraftSpec):
        """The settings in a pool file.

        Attributes:
            max_match: longest match that is told apart, tokens.
            store_tokens: earlier outputs that are kept, tokens.
            max_tokens_per_match_token: as in `SuffixDraft`.
        offset: as in `SuffixDraft`.
        learn: as in `SuffixDraft`.
        """

        kind: Literal["suffix"] = "suffix"
        max_match: int = Field(16, ge=1)
        store_tokens: int = Field(65_536, ge=0)
        max_tokens_per_match_token: float | None = Field(None, ge=0)
        offset: float = 0.0
        learn: bool = False

        def build(self, target: DraftedTarget) -> Draft:
            """Make the draft, named by the settings that are not the defaults."""
            return SuffixDraft(
                SuffixStore(self.store_tokens, self.max_match),
                learn=self.learn,
                max_tokens_per_match_token=self.max_tokens_per_match_token,
                offset=self.offset,
                name="_".join(["suffix", *(f"{name}_{value}" for name, value in self.changed.items())]),
            )

    def __init__(
        self,
        store: SuffixStore | None = None,
        *,
        learn: bool = False,
        max_tokens_per_match_token: float | None = None,
        offset: float = 0.0,
        name: str = "suffix",
    ) -> None:
        if max_tokens_per_match_token is not None:
            not_negative(max_tokens_per_match_token, "max_tokens_per_match_token")
        number(offset, "offset")
        self.store = SuffixStore() if store is None else store
        self.learn, self.name, self.max_match_length = learn, name, self.store.max_match
        self.max_tokens_per_match_token, self.offset = max_tokens_per_match_token, offset

    def fingerprint(self) -> str:
        """Return a digest of the settings and, unless it changes with each answer, of the store's texts."""
        held = None if self.learn else self.store.fingerprint()
        sizes = self.store.max_tokens, self.store.max_match
        return digest(type(self), sizes, self.learn, self.max_tokens_per_match_token, self.offset, held)

    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Make a session with an empty tree; the prompt is read at the first question."""
        return _SuffixSession(self, len(prompt))

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """As every draft's, with the store frozen: a text that is measured is never learned.

        Its confidence is its continuation's count ratio: in which share of the match's occurrences it followed.
        """
        with self.store.frozen():
            found, session = super().trace(prompt, new, max_draft_length), _SuffixSession(self, len(prompt))
            text, confidences = [*prompt, *new], np.zeros(len(new), dtype=np.float32)
            for j in found.proposed.nonzero()[0].tolist():
                confidences[j] = session.count_ratio(text[: len(prompt) + j])
        return replace(found, confidences=confidences)

    def limit(self, n_matched: int, draft_length: int) -> int:
        """Most tokens proposed on a match of this length."""
        if self.max_tokens_per_match_token is None:
            return draft_length
        return min(draft_length, int(self.max_tokens_per_match_token * n_matched + self.offset))


class _SuffixSession(DraftSession):
    def __init__(self, draft: SuffixDraft, n_prompt: int) -> None:
        self._draft, self._n_prompt = draft, n_prompt
        self._tree = SuffixTree(draft.store.max_match)
        self._tree.begin_text()
        self._n_freezes = draft.store.n_freezes if not draft.store.is_frozen else -1
        self._n_read, self._read_s = 0, 0.0  # since the last proposal

    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        self._read(prefix)
        context, limit = list(prefix[-self._tree.max_match :]), draft_length
        n_context = len(context)
        for i in range(draft_length):
            n_matched, token = self._longest_match(context)
            if i == 0:
                limit = self._draft.limit(n_matched, draft_length)
            if n_matched == 0 or i >= limit:
                break
            context.append(token)
        proposal = Proposal(context[n_context:], self._n_read, self._read_s)
        self._n_read, self._read_s = 0, 0.0
        return proposal

    def match_length(self, prefix: Sequence[int]) -> int:
        self._read(prefix)
        return self._longest_match(prefix)[0]

    def count_ratio(self, prefix: Sequence[int]) -> float:
        """In which share of the occurrences of the longest match its token followed."""
        self._read(prefix)
        context, store = prefix[-self._tree.max_match :], self._draft.store
        is_stored = store.longest_match(context)[0] > self._tree.longest_match(context)[0]
        return (store if is_stored else self._tree).count_ratio(context)

    def close(self, text: Sequence[int]) -> None:
        store = self._draft.store
        if self._draft.learn and not store.is_frozen and store.n_freezes == self._n_freezes:
            store.add(text[self._n_prompt :])

    def _longest_match(self, context: Sequence[int]) -> tuple[int, int]:
        found = self._tree.longest_match(context)
        if found[0] == self._tree.max_match:  # the store's cannot be longer
            return found
        stored = self._draft.store.longest_match(context)
        return stored if stored[0] > found[0] else found

    def _read(self, prefix: Sequence[int]) -> None:
        n_known = self._tree.n_tokens
        if n_known == len(prefix):
            return
        begin = time.perf_counter()
        for token in prefix[n_known:]:
            self._tree.append(token)
        self._n_read += len(prefix) - n_known
        self._read_s += time.perf_counter() - begin
