"""The proposer of a round: what a draft promises the engine."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import ClassVar, Literal, Protocol, TypeVar, cast

import numpy as np
import torch

from speculative.protocols.causal_lm import CausalLM, ForwardOutput
from speculative.protocols.draft_trace import NO_MATCH_LENGTH, DraftTrace
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.state_rows import StateRows
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.token_sampler import GREEDY, TokenSampler


@dataclass(frozen=True, slots=True)
class Proposal:
    """Tokens a draft puts up for verification.

    Attributes:
        token_ids: target-vocabulary ids, at most the length asked for; empty when there is nothing to say. Where the
            sampler drew some (rejection sampling), all that it drew, in order: it knows from what.
        n_read: tokens of the prefix the draft had to read before its first draft token, >= 0.
        read_s: seconds spent reading them, finite and >= 0.
    """

    token_ids: list[int]
    n_read: int = 0
    read_s: float = 0.0


class _LayeredLM(Protocol):
    """A model that can stop after its first layers."""

    def forward(
        self, batch: TokenBatch, cache: KVCache, logit_rows: Sequence[int] | None = None, n_layers: int | None = None
    ) -> ForwardOutput:
        """Run the batch's tokens through `n_layers` layers and append them to the cache."""


def _first_row() -> tuple[int, int]:
    return 0, 0


_Common = TypeVar("_Common")


class SharedCache:
    """A request's row of the target's cache, for a draft made of the target's own layers.

    It can read on from the committed tokens and take back what it read. It is given no tensor of the cache: what is
    committed, and other rows, are out of its reach.

    Args:
        model: the target.
        cache: its keys and values; between rounds the row holds all committed tokens but the last.
        place: gives the request's row as it is now, and how many of its tokens are committed.
        states: the target's states of the committed tokens but the last; None where no draft asks for them.
        common: drafts, and what they hold for all requests of the engine, by the draft's id.

    Attributes:
        is_open: whether it may be used now. The engine opens it only while a draft of its own request proposes: what is
            read then is cut off after, at other times it would stay between the tokens to verify.
    """

    __slots__ = ("_cache", "_common", "_model", "_place", "_states", "is_open")

    def __init__(
        self,
        model: CausalLM,
        cache: KVCache,
        place: Callable[[], tuple[int, int]] = _first_row,
        states: StateRows | None = None,
        common: dict[int, tuple[object, object]] | None = None,
    ) -> None:
        self._model, self._cache, self._place, self._states = model, cache, place, states
        self._common: dict[int, tuple[object, object]] = {} if common is None else common
        self.is_open = True

    @property
    def n_held(self) -> int:
        """Tokens that the row holds."""
        return self._cache.lengths[self._place()[0]]

    def forward(self, token_ids: torch.Tensor, n_layers: int) -> torch.Tensor:
        """Append (n,) tokens to the row by the target's first layers; return the last one's logits, (v,).

        Raises:
            RuntimeError: if no draft of its request proposes now.
        """
        return self.forward_together([self], token_ids, [len(token_ids)], n_layers)[0]

    @staticmethod
    def forward_together(
        shares: "Sequence[SharedCache]", token_ids: torch.Tensor, counts: Sequence[int], n_layers: int
    ) -> torch.Tensor:
        """Append tokens to the rows of several requests of one engine in one pass.

        Args:
            shares: of the requests.
            token_ids: (n,) one request's after the other's.
            counts: of each request, >= 1.
            n_layers: of the target, the first ones.

        Returns:
            (requests, v), the logits of each one's last token.

        Raises:
            RuntimeError: if for one of them no draft proposes now.
            ValueError: if they are of different engines.
        """
        for share in shares:
            share._check_open()
        first = shares[0]
        if any(share._cache is not first._cache for share in shares):
            raise ValueError("requests that are read together must be of one engine")
        batch = TokenBatch.in_rows(token_ids, counts, [share._place()[0] for share in shares])
        last = [end - 1 for end in accumulate(counts)]
        return cast(_LayeredLM, first._model).forward(batch, first._cache, last, n_layers).logits

    def is_beside(self, other: "SharedCache") -> bool:
        """Whether another request is of the same engine."""
        return self._cache is other._cache

    def in_common(self, draft: "Draft", make: Callable[[int], _Common]) -> _Common:
        """Return what a draft holds for all requests of the engine.

        Args:
            draft: whose.
            make: makes it where there is none yet, for as many requests as can run at once.
        """
        if id(draft) not in self._common:
            self._common[id(draft)] = draft, make(self._cache.n_rows)  # with the draft, so that its id stays its own
        return cast(_Common, self._common[id(draft)][1])

    def states(self, layers: Sequence[int], first: int) -> torch.Tensor:
        """Return the target's states of the committed tokens from position `first` on, but of the last one.

        Args:
            layers: which states, as in `Draft.state_layers`.
            first: a position.

        Returns:
            (n, layers * d), to be read only.

        Raises:
            ValueError: if they are not kept, because the draft does not ask for them.
        """
        if self._states is None or not set(layers) <= set(self._states.layers):
            raise ValueError(f"states of layers {tuple(layers)} are not kept: a draft must ask by its state_layers")
        return self._states.since(first, layers)

    def take_back(self, n_kept: int) -> None:
        """Forget all but the row's first tokens.

        Raises:
            RuntimeError: if no draft of its request proposes now.
            ValueError: if one of them is committed, or the row does not hold that many.
        """
        self._check_open()
        row, n_committed = self._place()
        if n_kept < n_committed:
            raise ValueError(f"n_kept must be >= {n_committed}, the tokens committed, got {n_kept}")
        self._cache.truncate(row, n_kept)

    def _check_open(self) -> None:
        if not self.is_open:
            raise RuntimeError("a request's SharedCache may be used only while a draft of that request proposes")


@dataclass(frozen=True, slots=True)
class DraftAsk:
    """What a request asks of a draft in a round: the arguments of `DraftSession.propose`, and the session.

    Attributes:
        session: the request's, opened by the draft that is asked.
        prefix: as `propose` is given it.
        draft_length: as `propose` is given it.
        sampler: as `propose` is given it.
    """

    session: "DraftSession"
    prefix: Sequence[int]
    draft_length: int
    sampler: TokenSampler = GREEDY


class DraftSession(ABC):
    """A draft's state for one request. The engine only ever extends the prefix it shows to a session."""

    @abstractmethod
    def propose(self, prefix: Sequence[int], draft_length: int, sampler: TokenSampler = GREEDY) -> Proposal:
        """Continue `prefix` (prompt and committed tokens, never rejected ones) by up to `draft_length` >= 1.

        Args:
            prefix: the session's own copy of the text: read it, never change it.
            draft_length: most tokens to propose.
            sampler: picks tokens from logits under the request's noise; a draft without logits ignores it. Tokens
                that are drawn otherwise are verified as if each had been certain: exact too, but fewer are accepted.
        """

    def match_length(self, prefix: Sequence[int]) -> int | None:
        """How many last tokens of `prefix` the draft has found elsewhere; None where it does not look things up.

        Costs little and drafts nothing, so that a selector may ask before it chooses.
        """
        return None

    def close(self, text: Sequence[int]) -> None:  # noqa: B027 (most sessions hold nothing)
        """Give back what the session holds; called once, when its request ends.

        Args:
            text: prompt and all committed tokens, those of the last round too; the prompt alone where the session was
                only tried out, so that one that learns takes nothing of it.
        """


class Draft(ABC):
    """A way to propose the target's next tokens.

    Attributes:
        name: unique among the drafts of a pool.
        max_positions: longest prefix it can continue, tokens; None for no limit.
        max_match_length: longest match that its sessions report, tokens; 0 for a draft that looks nothing up.
        state_layers: which of the target's states its sessions read from `SharedCache.states`: i >= 0 for those that
            enter layer i, -1 for the last ones, after the final norm. An engine keeps what its drafts ask for.
        proposal_kind: "deterministic" where the tokens are a function of the prefix; "sampled" where those of a sampled
            request come from the sampler, which then knows the distribution of each. Verification is exact for both.
    """

    name: str
    max_positions: int | None = None
    max_match_length: int = 0
    state_layers: tuple[int, ...] = ()
    proposal_kind: ClassVar[Literal["deterministic", "sampled"]] = "deterministic"

    @abstractmethod
    def open(self, prompt: Sequence[int], shared: SharedCache | None = None) -> DraftSession:
        """Start a request. Expensive reading waits until the first `propose`.

        Args:
            prompt: the request's token ids.
            shared: the request in the target, for a draft that works on it.
        """

    def propose_batch(self, asks: Sequence[DraftAsk]) -> list[Proposal | Exception]:
        """Propose for several requests of one engine; here one after the other, elsewhere in the same passes.

        An engine asks so where two or more requests of a round have the same draft, and the draft's class has its own
        way to do it. What is proposed to a request must not depend on the others, rounding aside.

        Args:
            asks: one a request.

        Returns:
            One each, in their order: the proposal, or the error that concerns this request alone.
        """
        found: list[Proposal | Exception] = []
        for ask in asks:
            try:
                found.append(ask.session.propose(ask.prefix, ask.draft_length, ask.sampler))
            except Exception as error:
                found.append(error)
        return found

    def write(self, prompt: Sequence[int], n_tokens: int) -> list[int] | None:
        """Return the draft's own continuation of a prompt; None for a draft that only proposes along a text."""
        return None

    def unstopped(self) -> "Draft":
        """Return the draft without what makes it stop before the length asked for: as its passes are timed."""
        return self

    def trace(self, prompt: Sequence[int], new: Sequence[int], max_draft_length: int) -> DraftTrace:
        """Find what the draft would do after each of the tokens `new` that the target wrote.

        While drafts are accepted, a draft's prefix is the target's own text; so a look at that text tells all. Here a
        session is asked position by position, which shows it just what a real run would.
        """
        return trace_of_session(self, self.open(prompt), prompt, new, max_draft_length)


def trace_of_session(
    draft: Draft, session: DraftSession, prompt: Sequence[int], new: Sequence[int], max_draft_length: int
) -> DraftTrace:
    """Ask a fresh session of a draft position by position; arguments as in `Draft.trace`."""
    text = [*prompt, *new]
    proposed, accepted, matches = np.zeros((3, len(new)), dtype=np.int32)
    matches[:] = NO_MATCH_LENGTH
    for j in range(1, len(new)):
        start = len(prompt) + j
        draft_length = max_draft_length
        if draft.max_positions is not None:
            draft_length = min(draft_length, draft.max_positions - start)
        if draft_length < 1:
            break
        if draft.max_match_length:
            found = session.match_length(text[:start])
            matches[j] = NO_MATCH_LENGTH if found is None else found
        token_ids = session.propose(text[:start], draft_length).token_ids
        proposed[j] = len(token_ids)
        wrong = (i for i, token in enumerate(token_ids) if text[start + i : start + i + 1] != [token])
        accepted[j] = next(wrong, len(token_ids))
    session.close(text)
    return DraftTrace(
        proposed, accepted, matches if draft.max_match_length else None, max_positions=draft.max_positions
    )


class DraftingArm(Protocol):
    """What the engine needs of an arm: which draft, and how many tokens it may propose a round."""

    @property
    def name(self) -> str:
        """The arm's name."""

    @property
    def draft(self) -> Draft:
        """The proposer."""

    @property
    def draft_length(self) -> int:
        """Most tokens proposed per round; 0 for no draft."""
