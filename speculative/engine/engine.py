"""The generation loop: submit requests, step rounds, cancel."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from speculative.engine.causal_lm import CausalLM
from speculative.engine.decoding_stats import DecodingStats
from speculative.engine.draft import Draft, DraftingArm, DraftSession, Proposal
from speculative.engine.request import FinishReason, Generation, Request, RoundResult, check_length, cut
from speculative.engine.selector import FixedSelector, QueryState, RoundContext, RoundObservation, Selector
from speculative.engine.token_batch import TokenBatch
from speculative.engine.verify import verify_greedy


@dataclass(slots=True, eq=False)
class _Running:
    """A request being answered. Between rounds its cache row holds all of `tokens` but the last."""

    request: Request
    tokens: list[int]
    stats: DecodingStats = field(default_factory=DecodingStats)
    sessions: dict[int, DraftSession] = field(default_factory=dict)
    last_draft: Draft | None = None

    @property
    def remaining(self) -> int:
        return self.request.max_new_tokens - self.stats.n_new


class Engine:
    """Answers requests with the target's greedy text, whichever draft helps in whichever round.

    Args:
        target: the model whose text is kept.
        arms: what a selector may choose from.
        selector: asked once a step for all running requests; by default always the first arm.
        max_batch: most requests running at once; more wait.
        prefill_chunk: prompt tokens per pass of a prefill; bounds the memory of attention masks.
    """

    def __init__(
        self,
        target: CausalLM,
        arms: Sequence[DraftingArm],
        selector: Selector | None = None,
        *,
        max_batch: int = 1,
        prefill_chunk: int = 512,
    ) -> None:
        if not arms:
            raise ValueError("an engine needs at least one arm; use NoDraft() for plain decoding")
        for arm in arms:
            if arm.draft_length < 0:
                raise ValueError(f"arm {arm.name!r}: draft_length must be >= 0, got {arm.draft_length}")
        if max_batch < 1:
            raise ValueError(f"max_batch must be >= 1, got {max_batch}")
        if prefill_chunk < 1:
            raise ValueError(f"prefill_chunk must be >= 1, got {prefill_chunk}")
        self.target, self.arms = target, list(arms)
        self.selector: Selector = selector or FixedSelector(0)
        self._cache = target.new_cache(max_batch)
        self._prefill_chunk = prefill_chunk
        self._waiting: deque[Request] = deque()
        self._running: list[_Running] = []  # in the order of their cache rows
        self._finished: dict[str, Generation] = {}

    @property
    def n_unfinished(self) -> int:
        """Requests waiting or running."""
        return len(self._waiting) + len(self._running)

    def submit(self, request: Request) -> str:
        """Queue a request and return its id.

        Raises:
            ValueError: if the prompt and its answer cannot fit the target's context, a token id is beyond the
                vocabulary, or the id is in use.
        """
        check_length(request, self.target.max_positions)
        beyond = [token for token in request.token_ids if not 0 <= token < self.target.n_vocab]
        if beyond:
            raise ValueError(f"request {request.id!r}: token id {beyond[0]} is not in [0, {self.target.n_vocab})")
        if request.id in self._finished or any(request.id == other for other in self._ids()):
            raise ValueError(f"request id {request.id!r} is in use")
        self._waiting.append(request)
        return request.id

    def step(self) -> list[RoundResult]:
        """Admit waiting requests, then run one draft-verify round for every running one."""
        results = self._admit()
        if self._running:
            results += self._round()
        return results

    def cancel(self, request_id: str) -> None:
        """Stop a request and free its row; what it has generated so far can still be taken.

        Raises:
            ValueError: if no such request is waiting or running.
        """
        for state in self._running:
            if state.request.id == request_id:
                self._finish(state, "cancelled")
                return
        for request in self._waiting:
            if request.id == request_id:
                self._waiting.remove(request)
                stats = DecodingStats(n_prompt=len(request.token_ids))
                self._finished[request_id] = Generation(request_id, (), "cancelled", stats)
                return
        raise ValueError(f"no request {request_id!r} is waiting or running")

    def take(self, request_id: str) -> Generation:
        """Hand over a finished request and forget it.

        Raises:
            ValueError: if it has not finished.
        """
        if request_id not in self._finished:
            raise ValueError(f"request {request_id!r} has not finished")
        return self._finished.pop(request_id)

    def discard(self, request_id: str) -> None:
        """Forget a request, whether it waits, runs or has finished.

        Raises:
            ValueError: if there is none of that id.
        """
        if request_id not in self._finished:
            self.cancel(request_id)
        del self._finished[request_id]

    def _ids(self) -> list[str]:
        return [request.id for request in self._waiting] + [state.request.id for state in self._running]

    def _admit(self) -> list[RoundResult]:
        results = []
        while self._waiting and len(self._running) < self._cache.n_rows:
            request = self._waiting.popleft()
            state = _Running(request, list(request.token_ids))
            row = len(self._running)
            self._running.append(state)
            results.append(self._prefill(state, row))
        return results

    def _prefill(self, state: _Running, row: int) -> RoundResult:
        """Read the prompt; its last token's logits already give the first new token."""
        begin = time.perf_counter()
        prompt = torch.tensor(state.tokens, device=self.target.device)
        self._cache.lengths[row] = 0
        hidden_sum = None
        for chunk in torch.split(prompt, self._prefill_chunk):
            output = self.target.forward(TokenBatch(chunk, [len(chunk)], row), self._cache, [len(chunk) - 1])
            part = output.hidden.sum(0)
            hidden_sum = part if hidden_sum is None else hidden_sum + part
        assert hidden_sum is not None
        token = int(output.logits.argmax(-1))
        prefilled = time.perf_counter()
        state.stats.n_prompt = len(prompt)
        state.stats.prefill_s = prefilled - begin
        self.selector.start(QueryState(state.request, hidden_sum / len(prompt)))
        state.stats.select_s += time.perf_counter() - prefilled
        return self._commit(state, [token], None)

    def _round(self) -> list[RoundResult]:
        begin = time.perf_counter()
        states = list(self._running)
        choices = self.selector.select([self._context(state) for state in states])
        actions = [choice.action for choice in choices]
        selected = time.perf_counter()
        proposals, draft_s, drafted = [], [], selected
        for state, action in zip(states, actions, strict=True):
            proposals.append(self._propose(state, action))
            draft_s.append(time.perf_counter() - drafted)
            drafted += draft_s[-1]
        tokens = [[state.tokens[-1], *p.token_ids] for state, p in zip(states, proposals, strict=True)]
        flat = torch.tensor([token for row in tokens for token in row], device=self.target.device)
        output = self.target.forward(TokenBatch(flat, [len(row) for row in tokens]), self._cache)
        best = output.logits.argmax(-1).tolist()  # the round's one device synchronisation
        verified = time.perf_counter()
        results, first = [], 0
        for row, (state, action, proposal) in enumerate(zip(states, actions, proposals, strict=True)):
            n_rows = len(tokens[row])
            verification = verify_greedy(best[first : first + n_rows], proposal.token_ids)
            first += n_rows
            accepted = proposal.token_ids[: verification.n_accepted]
            self._cache.truncate(row, len(state.tokens) + len(accepted))
            new = [*accepted, verification.next_token]
            results.append(self._commit(state, new, action, len(proposal.token_ids)))
        host = time.perf_counter() - verified
        share = 1.0 / len(states)
        observations = []
        for state, result, own_s in zip(states, results, draft_s, strict=True):
            stats = state.stats
            stats.select_s += (selected - begin) * share
            stats.draft_s += own_s
            stats.verify_s += (verified - drafted) * share
            stats.host_s += host * share
            shared_s = selected - begin + verified - drafted + host
            observations.append(self._observation(result, own_s + shared_s * share))
        told = time.perf_counter()
        self.selector.observe(observations)
        observe_s = (time.perf_counter() - told) * share
        for state, result in zip(states, results, strict=True):
            state.stats.select_s += observe_s
            if result.finished is not None:
                self._finish(state, result.finished)
        return results

    def _context(self, state: _Running) -> RoundContext:
        limits = (arm.draft.max_positions for arm in self.arms)
        available = tuple(limit is None or len(state.tokens) < limit for limit in limits)
        return RoundContext(state.request.id, state.stats.n_prompt, state.stats.n_new, available)

    def _propose(self, state: _Running, action: int) -> Proposal:
        if not 0 <= action < len(self.arms):
            raise ValueError(f"the selector must choose an arm in [0, {len(self.arms)}), got {action}")
        arm = self.arms[action]
        last_draft, state.last_draft = state.last_draft, arm.draft
        draft_length = min(arm.draft_length, state.remaining - 1)  # the target adds one token itself
        if arm.draft.max_positions is not None:
            draft_length = min(draft_length, arm.draft.max_positions - len(state.tokens))
        if draft_length < 1:
            return Proposal([])
        proposal = self._session(state, arm.draft).propose(state.tokens, draft_length)
        self._check(arm, proposal, draft_length)
        if last_draft not in (None, arm.draft):  # idle in the round before: what it read now was catching up
            state.stats.n_caught_up += proposal.n_read
            state.stats.catch_up_s += proposal.read_s
        return proposal

    def _check(self, arm: DraftingArm, proposal: Proposal, draft_length: int) -> None:
        token_ids = proposal.token_ids
        if len(token_ids) > draft_length:
            raise ValueError(
                f"draft {arm.draft.name!r} must propose at most {draft_length} tokens, got {len(token_ids)}"
            )
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) < self.target.n_vocab:
            raise ValueError(
                f"draft {arm.draft.name!r} must propose ids in [0, {self.target.n_vocab}), got {token_ids}"
            )

    def _session(self, state: _Running, draft: Draft) -> DraftSession:
        """One session a draft: arms that differ in draft length share it."""
        if id(draft) not in state.sessions:
            state.sessions[id(draft)] = draft.open(state.request.token_ids)
        return state.sessions[id(draft)]

    def _commit(self, state: _Running, tokens: list[int], action: int | None, n_proposed: int = 0) -> RoundResult:
        kept, finished = cut(tokens, state.request.eos_ids, state.remaining)
        state.tokens += kept
        state.stats.n_new += len(kept)
        n_accepted = min(len(tokens) - 1, len(kept))
        if len(kept) < len(tokens):  # an accepted token ended the text: what was drafted after it does not count
            n_proposed = n_accepted
        if action is not None:
            state.stats.actions.append(action)
            state.stats.proposed.append(n_proposed)
            state.stats.accepted.append(n_accepted)
        elif finished is not None:
            self._finish(state, finished)
        return RoundResult(state.request.id, tuple(kept), action, n_proposed, n_accepted, finished)

    @staticmethod
    def _observation(result: RoundResult, seconds: float) -> RoundObservation:
        assert result.action is not None
        return RoundObservation(
            result.request_id,
            result.action,
            result.n_proposed,
            result.n_accepted,
            len(result.token_ids),
            seconds,
        )

    def _finish(self, state: _Running, reason: FinishReason) -> None:
        """Take a request out; the last row moves into its place, so that running rows stay contiguous."""
        row, last = self._running.index(state), len(self._running) - 1
        if row != last:
            self._cache.move(last, row)
            self._running[row] = self._running[last]
        self._running.pop()
        self._cache.lengths[last] = 0
        for session in state.sessions.values():
            session.close()
        self.selector.finish(state.request.id)
        new = tuple(state.tokens[state.stats.n_prompt :])
        self._finished[state.request.id] = Generation(state.request.id, new, reason, state.stats)
