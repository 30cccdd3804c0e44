"""A request that is being answered: its text so far, and the rounds that make it longer."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from speculative.engine.drafting import Drafting
from speculative.engine.picks_on_card import PickAsk
from speculative.engine.target_rows import (
    ControlledRows,
    InvalidLogitsError,
    RowsOnCard,
    RowsOnDemand,
    TargetRows,
)
from speculative.engine.text_stream import TextStream
from speculative.engine.verify import Verification, Verifier, verify_match
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.decoding_stats import DecodingStats
from speculative.protocols.draft import Draft, DraftAsk, UnreadProposal
from speculative.protocols.kv_cache import KVCache
from speculative.protocols.request import FinishReason, Generation, Request, RoundResult, TokenLogprob, cut
from speculative.protocols.round_report import RoundReport
from speculative.protocols.shared_cache import SharedCache
from speculative.protocols.state_rows import StateRows
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.certainty import Certainty
from speculative.sampling.controlled_sampler import ControlledSampler
from speculative.sampling.controls_on_device import DeviceControlledSampler, DeviceControls
from speculative.sampling.sampling_params import SamplingParams
from speculative.sampling.token_sampler import DraftTokens, TokenSampler


@dataclass(slots=True, eq=False, weakref_slot=True)
class Running:
    """One request between two rounds: its cache row holds all of `tokens` but the last, once its prompt is read.

    Attributes:
        request: what was asked.
        verifier: how its drafts are verified.
        model: the target.
        cache: the target's keys and values.
        n_tokens: ids from here on are never chosen.
        row: its row of them.
        seed: of its noise; None for a greedy text.
        text: its text as it grows; None where nobody reads it.
        tokens: prompt and committed tokens.
        stats: what was counted.
        ended: why its text has ended; None while it goes on.
        failure: why no token could be chosen, where it failed.
        logprobs: of the committed tokens, where asked for.
        rounds: their reports, where asked for.
        states: the target's states of the tokens that the row holds, where a draft asks for them.
        common: what drafts hold for all requests of the engine.
        drafting: the drafts at work for it.
    """

    request: Request
    verifier: Verifier
    model: CausalLM
    cache: KVCache
    n_tokens: int
    row: int
    seed: int | None = None
    text: TextStream | None = None
    tokens: list[int] = field(init=False)
    stats: DecodingStats = field(default_factory=DecodingStats)
    ended: FinishReason | None = None
    failure: str | None = None
    logprobs: list[TokenLogprob] = field(default_factory=list)
    rounds: list[RoundReport] = field(default_factory=list)
    states: StateRows | None = None
    common: dict[int, tuple[object, object]] = field(default_factory=dict)
    drafting: Drafting = field(init=False)
    _is_controlled: bool = field(init=False)
    _may_be_unread: bool = field(init=False)
    _draft_controls: SamplingParams = field(init=False)
    _controls: DeviceControls | None = None
    _last_row: tuple[TargetRows, int] | None = None

    def __post_init__(self) -> None:
        self._is_controlled = self.request.sampling.controlled
        sampling, device = self.request.sampling, self.model.device
        self._may_be_unread = device.type != "cpu" and not sampling.logits_processors
        if self._may_be_unread and self._is_controlled:
            n_prompt, eos_ids = len(self.request.token_ids), self.request.eos_ids
            self._controls = DeviceControls(sampling, n_prompt, eos_ids, self.n_tokens, device)
        self._draft_controls = self.request.sampling.without_processors()
        self.tokens = list(self.request.token_ids)
        self.stats.n_prompt = len(self.tokens)
        own = weakref.proxy(self)  # so that the caches are free as soon as their engine is gone
        shared = SharedCache(self.model, self.cache, lambda: (own.row, len(own.tokens) - 1), self.states, self.common)
        self.drafting = Drafting(self.request.token_ids, shared, self.stats)

    @property
    def remaining(self) -> int:
        """Tokens that may still be generated."""
        return self.request.max_new_tokens - self.stats.n_new

    def ask(self, draft: Draft, draft_length: int) -> DraftAsk | None:
        """Return what to ask a draft for, at most `draft_length` tokens; None where it proposes none."""
        drafting, most = self.drafting, self.remaining - 1  # the target adds one token itself
        length = draft_length if draft_length < most else most
        asked = drafting.ask(draft, self.tokens, length, self._draft_sampler, self._may_be_unread)
        if drafting.has_failed:
            self.cache.wipe(self.row, len(self.tokens) - 1)  # it may have left NaN there
        return asked

    def settle(self, draft: Draft, asked: DraftAsk, found: object, n_held: int | None = None) -> DraftTokens:
        """Return the draft tokens of a proposal, or of an error, and leave the cache row as it was.

        Args:
            draft: that was asked.
            asked: what for.
            found: its proposal, or the error that it raised.
            n_held: tokens of the row that hold whatever was proposed; None for those committed but the last.
        """
        kept = len(self.tokens) - 1 if n_held is None else n_held
        try:
            settled = self.drafting.settle(draft, asked, found, self.tokens, self.n_tokens)
            if n_held is not None:
                kept += len(settled.token_ids)  # drawn before an error, and in the row
            return settled
        finally:
            if self.drafting.has_failed:
                self.cache.wipe(self.row, kept)  # it may have left NaN there
            elif self.cache.lengths[self.row] > kept and n_held is None:
                self.cache.truncate(self.row, kept)

    def hold(self) -> None:
        """Leave the cache row as it was, for a proposal that is to be read later."""
        self.drafting.shut()
        self.cache.truncate(self.row, len(self.tokens) - 1)

    def _draft_sampler(self) -> TokenSampler:
        sampler, request = self.verifier.draft_sampler(len(self.tokens)), self.request
        if not self._is_controlled:
            return sampler
        if self._controls is not None:
            return DeviceControlledSampler(sampler, self._controls, len(self.tokens), self.n_tokens)
        n_prompt = len(request.token_ids)
        return ControlledSampler(sampler, self._draft_controls, self.tokens, n_prompt, request.eos_ids, self.n_tokens)

    def verify(self, rows: TargetRows, draft_tokens: DraftTokens, prefix: Sequence[int] | None = None) -> Verification:
        """Verify draft tokens that follow `prefix`, by default the text so far, as far as the logits allow it."""
        prefix, raw, token_ids = self.tokens if prefix is None else prefix, rows, draft_tokens.token_ids
        try:
            if isinstance(rows, RowsOnCard):
                found = verify_match(rows.picked, token_ids)
            else:
                if self._is_controlled:
                    rows = ControlledRows(rows, self.request, prefix, token_ids)
                found = self.verifier.verify(rows, draft_tokens, len(prefix))
        except InvalidLogitsError as error:
            found = Verification(error.n_accepted, None, str(error))
        self._last_row, n_best = (raw, found.n_accepted), self.request.sampling.logprobs
        if n_best is None:
            return found
        tokens = [*token_ids[: found.n_accepted], *([] if found.next_token is None else [found.next_token])]
        logprobs = tuple(raw.logprob(i, token, n_best) for i, token in enumerate(tokens))
        return Verification(found.n_accepted, found.next_token, found.failure, logprobs)

    def pick_ask(self, draft_tokens: DraftTokens, unread: UnreadProposal | None) -> PickAsk | None:
        """Return what to pick from this round's rows on a card; None where processors must see each row.

        Args:
            draft_tokens: of the round, where the host knows them.
            unread: where it does not.
        """
        if self.request.sampling.logits_processors:
            return None
        return PickAsk(self.verifier, len(self.tokens), draft_tokens, unread, self._controls)

    def certainty(self) -> Certainty | None:
        """Return how sure the target was of the last token, by its own logits; to be asked between two passes."""
        if self._last_row is None:
            return None
        rows, i = self._last_row
        return Certainty.of(rows.row(i))

    def verify_again(self, draft: Draft, draft_tokens: DraftTokens, verification: Verification) -> Verification:
        """Go on where logits allowed no choice, now with rows of which none has seen a draft token to come.

        Draft tokens may have made rows invalid before their own. So that the text keeps its distribution, they are
        verified all the same. Where a choice can be made now, the draft that named them is disabled.

        Args:
            draft: who proposed.
            draft_tokens: all of the round's.
            verification: what could be verified of them.
        """
        n = verification.n_accepted
        self.cache.wipe(self.row, len(self.tokens) - 1 + n)
        text = [*self.tokens, *draft_tokens.token_ids]
        rows = RowsOnDemand(lambda i: self._read(text[len(self.tokens) - 1 + n + i]))
        probs = None if draft_tokens.probs is None else draft_tokens.probs[n:]
        rest = DraftTokens(draft_tokens.token_ids[n:], probs)
        again = self.verify(rows, rest, text[: len(self.tokens) + n])
        if n + again.n_accepted > n or again.next_token is not None:
            self.drafting.disable(draft, "the target's logits after its draft tokens allow no choice")
        logprobs = verification.logprobs + again.logprobs
        return Verification(n + again.n_accepted, again.next_token, again.failure, logprobs)

    def _read(self, token: int) -> torch.Tensor:
        """Read a token after those that the row holds: the logits (v,) after it."""
        batch = TokenBatch.of([[token]], self.model.device, self.row)
        rows = None if self.model.device.type == "cpu" else [0]  # no graph, which would write over this round's logits
        output = self.model.forward(batch, self.cache, rows)
        if self.states is not None:
            self.states.put(self.cache.lengths[self.row] - 1, output)
        return output.logits[0, : self.n_tokens]

    def commit(self, draft_tokens: DraftTokens, verification: Verification, action: int | None) -> RoundResult:
        """Add a round's tokens to the text, cut where it ends, and count what is left of them.

        A decoder that raises at a stop string leaves all as it was.
        """
        n_accepted, next_token, failure, logprobs = verification
        request, stats, n_proposed = self.request, self.stats, len(draft_tokens.token_ids)
        tokens = [*draft_tokens.token_ids[:n_accepted]]
        if next_token is not None:
            tokens.append(next_token)
        kept, finished = cut(tokens, request.eos_ids, self.remaining)
        if self.text is not None:
            n_before_stop = self.text.feed(kept)
            if self.text.stopped is not None:
                kept, finished = kept[:n_before_stop], "stop"
        if finished is None and next_token is None:
            finished, self.failure = "failed", failure
        if len(kept) < len(tokens) or finished == "failed":  # what was drafted after the end does not count
            n_proposed = n_accepted = min(n_accepted, len(kept))
        self.tokens += kept
        if self._controls is not None:
            self._controls.follow(self.tokens)
        self.ended = finished
        stats.n_new += len(kept)
        if action is not None:
            stats.actions.append(action)
            stats.proposed.append(n_proposed)
            stats.accepted.append(n_accepted)
        told = None
        if request.sampling.logprobs is not None:
            told = logprobs[: len(kept)]
            self.logprobs += told
        text = None if self.text is None else ""
        return RoundResult(request.id, tuple(kept), action, n_proposed, n_accepted, finished, text, told)

    def release(self, text: TextStream) -> str:
        """Return what became certain of the request's own text; all that is left once it has ended."""
        return text.release() if self.ended is None else text.release() + text.finish()

    def generation(self, reason: FinishReason) -> Generation:
        """Return the text so far, as a finished one."""
        new = tuple(self.tokens[len(self.request.token_ids) :])
        text = None if self.text is None else self.text.text
        logprobs = None if self.request.sampling.logprobs is None else tuple(self.logprobs)
        rounds = tuple(self.rounds) if self.request.sampling.rounds else None
        return Generation(self.request.id, new, reason, self.stats, self.seed, text, logprobs, self.failure, rounds)
