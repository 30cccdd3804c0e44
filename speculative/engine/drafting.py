"""The drafts at work for one request: somebody else's code, kept from doing harm."""

import math
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from speculative.protocols.decoding_stats import DecodingStats, DraftFault
from speculative.protocols.draft import Draft, DraftAsk, DraftSession, Proposal
from speculative.protocols.shared_cache import SharedCache
from speculative.sampling.token_sampler import NO_TOKENS, DraftTokens, TokenSampler

_LONGEST_REASON = 500  # characters


@dataclass(slots=True, eq=False)
class _Work:
    """One draft's work for the request.

    Attributes:
        name: what faults call it.
        limit: longest prefix it can continue; None for no limit.
        session: opened when first needed.
        shown: its own copy of the prefix; one that it changed would mislead nobody else.
        is_disabled: whether it failed.
    """

    name: str
    limit: int | None = None
    session: DraftSession | None = None
    shown: list[int] = field(default_factory=list)
    is_disabled: bool = False

    def show(self, prefix: Sequence[int]) -> list[int]:
        """Return what the draft sees of the text: what was shown before, and the new tokens."""
        self.shown += prefix[len(self.shown) :]
        return self.shown

    def check_shown(self, prefix: Sequence[int]) -> None:
        """Refuse a prefix that the draft made longer or shorter, or whose last token it changed."""
        if len(self.shown) != len(prefix) or self.shown[-1] != prefix[-1]:
            raise ValueError("the prefix must be left unmodified")


class Drafting:
    """Asks drafts, and disables one that fails for the rest of the request: its fault is recorded.

    Whatever a draft does, what remains to be verified keeps the text lossless. It sees a copy of the text, and what it
    answers is copied. Under rejection sampling the tokens that the request's sampler drew for it are verified, even
    where it raised or returned others: what was dropped because of a token drawn would bias the text.

    KeyboardInterrupt passes through; so does SystemExit, with its draft disabled, unless it comes from `close`. No
    other error does, whatever it derives from.

    Args:
        prompt: the request's.
        shared: its place in the target.
        stats: where faults and catching up are counted.

    Attributes:
        has_failed: whether a draft has since `ask` was last called.
    """

    def __init__(self, prompt: tuple[int, ...], shared: SharedCache, stats: DecodingStats) -> None:
        self._prompt, self._shared, self._stats = prompt, shared, stats
        shared.is_open = False
        self._works: dict[int, _Work] = {}  # by the draft's id: arms that differ in draft length share one
        self._last_draft: Draft | None = None
        self._idle_before = self.has_failed = False

    def can_use(self, draft: Draft, n_tokens: int) -> bool:
        """Whether a draft can continue a prefix of so many tokens."""
        work = self._works.get(id(draft)) or self._work(draft)
        return not work.is_disabled and (work.limit is None or n_tokens < work.limit)

    def match_length(self, draft: Draft, prefix: Sequence[int]) -> int | None:
        """Return what the draft says of its look-up; None where it looks nothing up or is disabled."""
        if not self.can_use(draft, len(prefix)):
            return None
        work = self._work(draft)
        try:
            found = self._session(draft, work).match_length(work.show(prefix))
            work.check_shown(prefix)
            if found is not None and (type(found) is not int or not 0 <= found <= len(prefix)):
                raise ValueError(f"match_length must be None or lie in [0, {len(prefix)}], got {reprlib.repr(found)}")
            return found
        except BaseException as error:
            self._fail(work, error)
            return None

    def match_lengths(self, drafts: Sequence[Draft], prefix: Sequence[int]) -> dict[str, int]:
        """Return, by name, the match length of each draft that looks things up; no other one is opened."""
        found: dict[str, int] = {}
        for draft in drafts:
            work = self._work(draft)
            length = self.match_length(draft, prefix) if self._looks_up(draft, work) else None
            if length is not None:
                found[work.name] = length
        return found

    def ask(
        self,
        draft: Draft,
        prefix: Sequence[int],
        draft_length: int,
        make_sampler: Callable[[], TokenSampler],
        may_be_unread: bool = False,
    ) -> DraftAsk | None:
        """Open what the draft may use now, and return what to ask it for; None where it cannot or must not propose.

        The other drafts are idle meanwhile, and catch up later. `settle` has to follow, with what came of it.
        """
        self._idle_before = self._last_draft is not None and self._last_draft is not draft
        self._last_draft, self.has_failed = draft, False
        if draft_length < 1:
            return None
        work = self._works.get(id(draft)) or self._work(draft)
        if work.limit is not None:
            draft_length = min(draft_length, work.limit - len(prefix))
        if draft_length < 1 or work.is_disabled:
            return None
        self._shared.is_open = True
        try:
            session = work.session or self._session(draft, work)
            return DraftAsk(session, work.show(prefix), draft_length, make_sampler(), may_be_unread)
        except BaseException as error:
            self._shared.is_open = False
            self._fail(work, error)
            return None

    def shut(self) -> None:
        """Take back what the draft that was asked might use."""
        self._shared.is_open = False

    def settle(self, draft: Draft, asked: DraftAsk, found: object, prefix: Sequence[int], n_tokens: int) -> DraftTokens:
        """Return the tokens to verify: what a draft proposed, if all is right with it.

        Args:
            draft: that was asked.
            asked: what for.
            found: its proposal, or the error that it raised.
            prefix: the text, as it is.
            n_tokens: ids must lie below.
        """
        self._shared.is_open = False
        work, draft_length, drawn = self._works[id(draft)], asked.draft_length, NO_TOKENS
        token_ids: tuple[int, ...] = ()
        try:
            drawn = asked.sampler.drawn()
            if isinstance(found, BaseException):
                raise found
            work.check_shown(prefix)
            token_ids, n_read, read_s = _checked(found, draft_length, n_tokens, len(prefix))
            if drawn.token_ids and token_ids != drawn.token_ids:
                raise ValueError(f"token_ids must be all that the sampler drew, {drawn.token_ids}, got {token_ids}")
            if self._idle_before:  # what it read now was catching up
                self._stats.n_caught_up += n_read
                self._stats.catch_up_s += read_s
        except BaseException as error:
            token_ids = ()
            self._fail(work, error)
        if not drawn.token_ids:
            return DraftTokens(token_ids)
        assert drawn.probs is not None
        return DraftTokens(drawn.token_ids[:draft_length], drawn.probs[:draft_length])

    def name_of(self, draft: Draft) -> str:
        """Return what a draft calls itself, or its class where that cannot be read."""
        return self._work(draft).name

    def disable(self, draft: Draft, reason: str) -> None:
        """Use a draft no more for this request."""
        work = self._work(draft)
        work.is_disabled = True
        self._stats.faults.append(DraftFault(work.name, self._stats.n_rounds, reason))

    def close(self, text: Sequence[int]) -> None:
        """Give back what the drafts hold."""
        works = list(self._works.values())
        self._works.clear()
        for work in works:
            try:
                if work.session is not None:
                    work.session.close(list(text))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # the text is whole: no draft ends a program by its closing
                self._record(work, error)

    def _work(self, draft: Draft) -> _Work:
        """Read a draft's name and limit, once: a property may raise, or be of any type."""
        work = self._works.get(id(draft))
        if work is not None:
            return work
        work = self._works[id(draft)] = _Work(type(draft).__name__)
        try:
            if not isinstance(draft.name, str):
                raise TypeError(f"name must be a string, got {reprlib.repr(draft.name)}")
            work.name, limit = str(draft.name), draft.max_positions
            if limit is not None and (type(limit) is not int or limit < 1):
                raise ValueError(f"max_positions must be None or an int >= 1, got {reprlib.repr(limit)}")
            work.limit = limit
        except BaseException as error:
            self._fail(work, error)
        return work

    def _looks_up(self, draft: Draft, work: _Work) -> bool:
        try:
            return not work.is_disabled and draft.max_match_length > 0
        except BaseException as error:
            self._fail(work, error)
            return False

    def _session(self, draft: Draft, work: _Work) -> DraftSession:
        if work.session is None:
            work.session = draft.open(self._prompt, self._shared)
        return work.session

    def _fail(self, work: _Work, error: BaseException) -> None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        work.is_disabled = True
        self._record(work, error)
        if isinstance(error, SystemExit):
            raise error

    def _record(self, work: _Work, error: BaseException) -> None:
        self.has_failed = True
        self._stats.faults.append(DraftFault(work.name, self._stats.n_rounds, _reason(error)))


def _reason(error: BaseException) -> str:
    """Describe an error, which may itself fail to."""
    try:
        return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
    except KeyboardInterrupt:
        raise
    except BaseException:
        return f"{type(error).__name__}, which could not be written as text"


def _checked(proposal: object, draft_length: int, n_tokens: int, n_prefix: int) -> tuple[tuple[int, ...], int, float]:
    """Return what a proposal holds, copied: tokens, tokens read, seconds.

    Raises:
        TypeError: saying what it holds and what it must.
        ValueError: saying what it holds and what it must.
    """
    if not isinstance(proposal, Proposal):
        raise TypeError(f"propose must return a Proposal, got {reprlib.repr(proposal)}")
    given, n_read, read_s = proposal
    if type(given) is not list:
        raise TypeError(f"token_ids must be a list of ints, got {reprlib.repr(given)}")
    token_ids = tuple(given)
    if len(token_ids) > draft_length:
        raise ValueError(f"at most {draft_length} tokens may be proposed, got {len(token_ids)}")
    for token in token_ids:
        if type(token) is not int:
            raise TypeError(f"token_ids must be a list of ints, got {reprlib.repr(given)}")
        if not 0 <= token < n_tokens:
            raise ValueError(f"proposed ids must be in [0, {n_tokens}), got {list(token_ids)}")
    if type(n_read) is not int or not 0 <= n_read <= n_prefix:
        raise ValueError(f"n_read must be an int in [0, {n_prefix}], got {reprlib.repr(n_read)}")
    is_number = type(read_s) is float or (isinstance(read_s, int | float) and not isinstance(read_s, bool))
    if not is_number or not 0 <= read_s < math.inf:
        raise ValueError(f"read_s must be a finite number >= 0, got {reprlib.repr(read_s)}")
    return token_ids, n_read, float(read_s)
