"""The proposer of a round: what a draft promises the engine."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

import numpy as np
import torch

from speculative.protocols.draft_trace import NO_MATCH_LENGTH, DraftLogits, DraftTrace
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.unread_tokens import UnreadTokens
from speculative.sampling.token_sampler import GREEDY, TokenSampler


class Proposal(NamedTuple):
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


class UnreadProposal:
    """Tokens that a draft has picked on a card: verified there, and read with what the target makes of them.

    Args:
        name: the draft's.
        batch: all that it picked at once.
        i: which of the batch's requests this is.
        cost: a proposal without tokens that says what was read for them.
        sampler: that picked them.

    Attributes:
        batch: as given.
        found: the proposal, or what is wrong with it, once read.
    """

    def __init__(self, name: str, batch: UnreadTokens, i: int, cost: Proposal, sampler: TokenSampler = GREEDY) -> None:
        self._name, self.batch, self._i, self._cost, self._drawing = name, batch, i, cost, sampler.drawing()
        self.found: Proposal | Exception | None = None

    @property
    def token_ids(self) -> torch.Tensor:
        """(n,) int64, the target's ids, on the card."""
        return self.batch.token_ids[self._i, : self.batch.lengths[self._i]]

    @property
    def probs(self) -> torch.Tensor | None:
        """(n, v) float64, what they were drawn from, under rejection sampling; zeros where a token does not count."""
        probs = self.batch.probs
        return None if probs is None else probs[self._i, : self.batch.lengths[self._i]]

    def take(self, token_ids: Sequence[int]) -> Proposal | Exception:
        """Return what was proposed, once the host has the tokens, and the batch what was read beside them."""
        n, n_drawn, is_sound = self.batch.counted(self._i)
        proposed = [*token_ids[:n]]
        if self._drawing is not None:
            self._drawing.take(proposed[:n_drawn])
        if is_sound:
            self.found = Proposal(proposed, self._cost.n_read, self._cost.read_s)
        else:
            self.found = FloatingPointError(f"draft {self._name!r}: its logits hold NaN or infinity")
        return self.found


Answer = Proposal | UnreadProposal | Exception
"""What a draft gives a request: tokens, tokens to be read, or an error."""


class DraftAsk(NamedTuple):
    """What a request asks of a draft in a round: the arguments of `DraftSession.propose`, and the session.

    Attributes:
        session: the request's, opened by the draft that is asked.
        prefix: as `propose` is given it.
        draft_length: as `propose` is given it.
        sampler: as `propose` is given it.
        unread: whether tokens that are still on the card will do, as an `UnreadProposal`.
    """

    session: "DraftSession"
    prefix: Sequence[int]
    draft_length: int
    sampler: TokenSampler = GREEDY
    unread: bool = False


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
        device: where its own model computes; None for a draft without one.
        max_match_length: longest match that its sessions report, tokens; 0 for a draft that looks nothing up.
        state_layers: which of the target's states its sessions read from `SharedCache.states`: i >= 0 for those that
            enter layer i, -1 for the last ones, after the final norm. An engine keeps what its drafts ask for.
        proposal_kind: "deterministic" where the tokens are a function of the prefix; "sampled" where those of a sampled
            request come from the sampler, which then knows the distribution of each. Verification is exact for both.
    """

    name: str
    max_positions: int | None = None
    device: torch.device | None = None
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

    def propose_batch(self, asks: Sequence[DraftAsk]) -> list[Answer]:
        """Propose for several requests of one engine; here one after the other, elsewhere in the same passes.

        An engine asks so where the draft's class has its own way to do it, and two or more requests of a round have the
        same draft, or tokens may stay unread. What is proposed to a request must not depend on the others, rounding
        aside.

        Args:
            asks: one a request.

        Returns:
            One each, in their order: the proposal, unread only where that will do, or the error that concerns this
            request alone.
        """
        found: list[Answer] = []
        for ask in asks:
            try:
                found.append(ask.session.propose(ask.prefix, ask.draft_length, ask.sampler))
            except Exception as error:
                found.append(error)
        return found

    def write(self, prompt: Sequence[int], n_tokens: int, eos_ids: Collection[int] = frozenset()) -> list[int] | None:
        """Return the draft's own continuation of a prompt; None for a draft that only proposes along a text.

        Args:
            prompt: its token ids.
            n_tokens: most tokens to write.
            eos_ids: tokens that end the text, which holds the one it ends with.
        """
        return None

    def logits_along(self, prompt: Sequence[int], new: Sequence[int]) -> DraftLogits | None:
        """Return the draft's distribution of each token of `new` but the first, as far as its context reaches.

        None for a draft that draws from none. Arguments as in `trace`.
        """
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
