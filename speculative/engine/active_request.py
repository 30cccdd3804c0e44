"""A request that is being answered, and the drafts at work for it."""

import math
from dataclasses import dataclass, field

import torch

from speculative.engine.text_stream import TextStream
from speculative.engine.verify import InvalidLogitsError, TargetRows, Verification, Verifier
from speculative.protocols.decoding_stats import DecodingStats, DraftFault
from speculative.protocols.draft import Draft, DraftSession, Proposal, SharedCache
from speculative.protocols.request import FinishReason, Generation, Request, RoundResult, cut


@dataclass(slots=True, eq=False)
class Running:
    """One request between two rounds: its cache row holds all of `tokens` but the last.

    A draft that raises or proposes what it must not is put aside for the rest of the request: its fault is recorded,
    the round becomes a plain one, and the text is what it would have been without that draft.

    Attributes:
        request: what was asked.
        verifier: how its drafts are judged.
        shared: its place in the target.
        seed: of its noise; None for a greedy text.
        text: its text as it grows; None where nobody reads it.
        tokens: prompt and committed tokens.
        stats: what was counted.
    """

    request: Request
    verifier: Verifier
    shared: SharedCache
    seed: int | None = None
    text: TextStream | None = None
    tokens: list[int] = field(init=False)
    stats: DecodingStats = field(default_factory=DecodingStats)
    _sessions: dict[int, tuple[str, DraftSession]] = field(default_factory=dict)  # by the draft's id
    _set_aside: set[int] = field(default_factory=set)
    _last_draft: Draft | None = None

    def __post_init__(self) -> None:
        self.tokens = list(self.request.token_ids)

    @property
    def remaining(self) -> int:
        """Tokens that may still be generated."""
        return self.request.max_new_tokens - self.stats.n_new

    def can_use(self, draft: Draft) -> bool:
        """Whether a draft can continue this text."""
        limit = draft.max_positions
        return id(draft) not in self._set_aside and (limit is None or len(self.tokens) < limit)

    def match_length(self, draft: Draft) -> int | None:
        """Return what the draft says of its look-up; None where it looks nothing up or is disabled."""
        if not self.can_use(draft):
            return None
        try:
            return self._session(draft).match_length(self.tokens)
        except Exception as error:
            self.put_aside(draft, _reason(error))
            return None

    def propose(self, draft: Draft, draft_length: int, n_tokens: int) -> Proposal:
        """Let a draft guess at most `draft_length` ids below `n_tokens`; nothing where it cannot or must not."""
        last_draft, self._last_draft = self._last_draft, draft
        if draft.max_positions is not None:
            draft_length = min(draft_length, draft.max_positions - len(self.tokens))
        if draft_length < 1 or not self.can_use(draft):
            return Proposal([])
        sampler = self.verifier.draft_sampler()
        try:
            proposal = self._session(draft).propose(self.tokens, draft_length, sampler)
            _check(proposal, draft_length, n_tokens)
        except Exception as error:  # a draft is somebody else's code; whatever it does, the text goes on
            self.put_aside(draft, _reason(error))
            self.shared.cache.wipe(self.shared.row, len(self.tokens) - 1)  # it may have left NaN there
            return Proposal([])
        finally:
            self.shared.cache.truncate(self.shared.row, len(self.tokens) - 1)  # takes back what a draft wrote there
        if last_draft not in (None, draft):  # idle in the round before: what it read now was catching up
            self.stats.n_caught_up += proposal.n_read
            self.stats.catch_up_s += proposal.read_s
        return proposal

    def judge(self, rows: TargetRows, proposal: Proposal) -> Verification:
        """Verify a proposal, as far as the target's logits allow it."""
        try:
            return self.verifier.verify(rows, proposal, self.tokens)
        except InvalidLogitsError as error:
            return Verification(error.n_accepted, None)

    def commit(self, proposal: Proposal, verification: Verification, action: int | None) -> RoundResult:
        """Add a round's tokens to the text, cut where it ends, and count what is left of them."""
        tokens = proposal.token_ids[: verification.n_accepted]
        if verification.next_token is not None:
            tokens = [*tokens, verification.next_token]
        kept, finished = cut(tokens, self.request.eos_ids, self.remaining)
        if self.text is not None:
            n_before_stop = self.text.feed(kept)
            if self.text.stopped is not None:
                kept, finished = kept[:n_before_stop], "stop"
        if finished is None and verification.next_token is None:
            finished = "failed"
        n_accepted, n_proposed = min(verification.n_accepted, len(kept)), len(proposal.token_ids)
        if len(kept) < len(tokens) or finished == "failed":  # what was drafted after the end does not count
            n_proposed = n_accepted
        self.tokens += kept
        self.stats.n_new += len(kept)
        if action is not None:
            self.stats.actions.append(action)
            self.stats.proposed.append(n_proposed)
            self.stats.accepted.append(n_accepted)
        text = None
        if self.text is not None:
            text = self.text.release() if finished is None else self.text.release() + self.text.finish()
        return RoundResult(self.request.id, tuple(kept), action, n_proposed, n_accepted, finished, text)

    def put_aside(self, draft: Draft, reason: str) -> None:
        """Use a draft no more for this request."""
        self._set_aside.add(id(draft))
        self.stats.faults.append(DraftFault(draft.name, self.stats.n_rounds, reason))

    def close(self) -> None:
        """Give back what the drafts hold."""
        for name, session in self._sessions.values():
            try:
                session.close(list(self.tokens))
            except Exception as error:
                self.stats.faults.append(DraftFault(name, self.stats.n_rounds, _reason(error)))
        self._sessions.clear()

    def generation(self, reason: FinishReason) -> Generation:
        """Return the text so far, as a finished one."""
        new = tuple(self.tokens[len(self.request.token_ids) :])
        text = None if self.text is None else self.text.text
        return Generation(self.request.id, new, reason, self.stats, self.seed, text)

    def _session(self, draft: Draft) -> DraftSession:
        """One session a draft: arms that differ in draft length share it."""
        if id(draft) not in self._sessions:
            self._sessions[id(draft)] = draft.name, draft.open(self.request.token_ids, self.shared)
        return self._sessions[id(draft)][1]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _check(proposal: Proposal, draft_length: int, n_tokens: int) -> None:
    """Refuse a proposal that the target could not judge.

    Raises:
        TypeError: saying what it holds and what it must.
        ValueError: saying what it holds and what it must.
    """
    if not isinstance(proposal, Proposal):
        raise TypeError(f"propose must return a Proposal, got {proposal!r}")
    token_ids, probs = proposal.token_ids, proposal.probs
    if not isinstance(token_ids, list) or not all(isinstance(token, int) for token in token_ids):
        raise TypeError(f"token_ids must be a list of ints, got {token_ids!r}")
    if len(token_ids) > draft_length:
        raise ValueError(f"at most {draft_length} tokens may be proposed, got {len(token_ids)}")
    if token_ids and not 0 <= min(token_ids) <= max(token_ids) < n_tokens:
        raise ValueError(f"proposed ids must be in [0, {n_tokens}), got {token_ids}")
    if probs is None:
        return
    if not isinstance(probs, torch.Tensor):
        raise TypeError(f"probs must be a tensor or None, got {type(probs).__name__}")
    if probs.shape != (len(token_ids), n_tokens):
        raise ValueError(f"probs must have shape {(len(token_ids), n_tokens)}, got {tuple(probs.shape)}")
    sums, drawn = probs.sum(-1).tolist(), probs[torch.arange(len(token_ids)), token_ids].tolist()
    wrong = [i for i, total in enumerate(sums) if not (math.isclose(total, 1.0, abs_tol=1e-5) and drawn[i] > 0.0)]
    if wrong or bool((probs < 0).any()):
        raise ValueError("each row of probs must be a law that can give the token drawn from it")
