"""The generation loop: submit requests, step rounds, cancel."""

import secrets
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence

import torch

from speculative.engine.active_request import Running
from speculative.engine.text_stream import TextStream
from speculative.engine.verify import Verification, make_verifier, target_rows
from speculative.models.batch_invariance import batch_invariant_model
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.decoding_stats import DecodingStats
from speculative.protocols.draft import Draft, DraftingArm, Proposal, SharedCache, check_arms
from speculative.protocols.request import FinishReason, Generation, Request, RoundResult, check_length
from speculative.protocols.selector import QueryState, RoundContext, RoundObservation, Selector
from speculative.protocols.token_batch import TokenBatch


class _FirstArm(Selector):
    """What an engine without a selector does."""

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        return [0] * len(rounds)


class Engine:
    """Answers requests with text that is the target's own, whichever draft helps in whichever round.

    Greedy text is the target's greedy text. Sampled text follows the target's law: under coupling it is, for one
    seed, the same whichever drafts helped; under rejection sampling more is accepted, and the text depends on them.

    One loop drives an engine: what `step` returns is told once. Where a step raises (the target, or a selector), the
    requests stay as they were or have finished, and the next step goes on; results of that step can only be taken.

    Args:
        target: the model whose text is kept.
        arms: what a selector may choose from.
        selector: asked once a step for all running requests; by default always the first arm.
        max_batch: most requests running at once; more wait.
        prefill_chunk: prompt tokens per pass of a prefill; bounds the memory of attention masks.
        n_tokens: ids at or beyond this are padding of the target's vocabulary and are never chosen; None for none.
        decode: turns token ids into text; needed for stop strings and for `RoundResult.text`.
        batch_invariant: make logits, and so the text, independent bit by bit of which of the arms help and of what else
            runs (float32 or 4 bits on a CPU; tested at start, see `models.batch_invariance`), at the price of slower
            attention. By default rounding may tip a tie between two tokens.

    Attributes:
        n_steps: steps begun.
        running: active requests, in the order of their cache rows.
        finished: what has ended and was not taken yet, by request id.
        cache: keys and values of the target, a row a running request.

    Raises:
        ValueError: if there is no arm, a number is out of range, or the target cannot take tokens back and an arm
            drafts.
    """

    def __init__(
        self,
        target: CausalLM,
        arms: Collection[DraftingArm],
        selector: Selector | None = None,
        *,
        max_batch: int = 1,
        prefill_chunk: int = 512,
        n_tokens: int | None = None,
        decode: Callable[[Sequence[int]], str] | None = None,
        batch_invariant: bool = False,
    ) -> None:
        check_arms(arms, target)
        for name, value in (("max_batch", max_batch), ("prefill_chunk", prefill_chunk)):
            if value < 1:
                raise ValueError(f"{name} must be >= 1, got {value}")
        if n_tokens is not None and not 1 <= n_tokens <= target.n_vocab:
            raise ValueError(f"n_tokens must be in [1, {target.n_vocab}], the target's vocabulary, got {n_tokens}")
        self.arms = list(arms)
        longest = max(arm.draft_length for arm in arms)
        self.target = batch_invariant_model(target, max_batch, longest) if batch_invariant else target
        self.selector = selector or _FirstArm()
        self.n_tokens = target.n_vocab if n_tokens is None else n_tokens
        self.cache = target.new_cache(max_batch)
        self._prefill_chunk, self._decode = prefill_chunk, decode
        self._waiting: deque[Request] = deque()
        self.running: list[Running] = []
        self.finished: dict[str, Generation] = {}
        self.n_steps, self._is_stepping = 0, False

    @property
    def n_unfinished(self) -> int:
        """Requests waiting or running."""
        return len(self._waiting) + len(self.running)

    def submit(self, request: Request) -> str:
        """Queue a request and return its id.

        Raises:
            ValueError: if the prompt and its answer cannot fit the target's context or the memory, a token id is
                beyond the vocabulary, the id is in use, or it has stop strings and the engine does not decode.
        """
        check_length(request, self.target.max_positions)
        self.cache.check_room(len(request.token_ids) + request.max_new_tokens)
        if request.stop and self._decode is None:
            raise ValueError(f"request {request.id!r}: stop strings need an engine made with decode=")
        beyond = [token for token in request.token_ids if not 0 <= token < self.target.n_vocab]
        if beyond:
            raise ValueError(f"request {request.id!r}: token id {beyond[0]} is not in [0, {self.target.n_vocab})")
        if request.id in self.finished or any(request.id == other for other in self.ids()):
            raise ValueError(f"request id {request.id!r} is in use")
        self._waiting.append(request)
        return request.id

    def step(self) -> list[RoundResult]:
        """Admit waiting requests, then run one draft-verify round for every running one.

        Raises:
            RuntimeError: if called by what a step calls: a selector, a draft or a decoder.
        """
        self._refuse_inside_a_step("step")
        self.n_steps += 1
        self._is_stepping = True
        try:
            results = self._admit()
            return results + self._round() if self.running else results
        finally:
            self._is_stepping = False

    def cancel(self, request_id: str) -> None:
        """Stop a request and free its row; what it has generated so far can still be taken.

        Raises:
            ValueError: if no such request is waiting or running.
            RuntimeError: inside a step, whose rows would move.
        """
        self._refuse_inside_a_step("cancel")
        for state in self.running:
            if state.request.id == request_id:
                if state.text is not None:
                    state.text.finish()
                self._finish(state, "cancelled")
                return
        for request in self._waiting:
            if request.id == request_id:
                self._waiting.remove(request)
                stats = DecodingStats(n_prompt=len(request.token_ids))
                text = None if self._decode is None else ""
                self.finished[request_id] = Generation(request_id, (), "cancelled", stats, text=text)
                return
        raise ValueError(f"no request {request_id!r} is waiting or running")

    def take(self, request_id: str) -> Generation:
        """Hand over a finished request and forget it.

        Raises:
            ValueError: if it has not finished.
        """
        if request_id not in self.finished:
            raise ValueError(f"request {request_id!r} has not finished")
        return self.finished.pop(request_id)

    def discard(self, request_id: str) -> None:
        """Forget a request, whether it waits, runs or has finished.

        Raises:
            ValueError: if there is none of that id.
        """
        if request_id not in self.finished:
            self.cancel(request_id)
        del self.finished[request_id]

    def _refuse_inside_a_step(self, name: str) -> None:
        if self._is_stepping:
            raise RuntimeError(f"{name} must be called between steps, not by what a step calls")

    def ids(self) -> list[str]:
        """Return the requests that wait or run, in that order."""
        return [request.id for request in self._waiting] + [state.request.id for state in self.running]

    def _admit(self) -> list[RoundResult]:
        results = []
        while self._waiting and len(self.running) < self.cache.n_rows:
            state = self._state(self._waiting[0])
            verification, query = self._prefill(state)  # where this raises, the request still waits
            self._waiting.popleft()
            self.running.append(state)
            results.append(state.commit(Proposal([]), verification, None))
            begin = time.perf_counter()
            try:
                self.selector.start(query)
            finally:
                state.stats.select_s += time.perf_counter() - begin
                if results[-1].finished is not None:
                    self._finish(state, results[-1].finished)
        return results

    def _state(self, request: Request) -> Running:
        """Put a request on the next free row."""
        params = request.sampling
        seed = None if params.greedy else secrets.randbits(62) if params.seed is None else params.seed
        return Running(
            request,
            make_verifier(params, seed or 0, self.n_tokens),
            SharedCache(self.target, self.cache, len(self.running)),
            seed,
            None if self._decode is None else TextStream(self._decode, request.stop),
        )

    def _prefill(self, state: Running) -> tuple[Verification, QueryState]:
        """Read the prompt; its last token's logits already give the first new token."""
        begin = time.perf_counter()
        prompt = torch.tensor(state.tokens, device=self.target.device)
        row = state.shared.row
        self.cache.truncate(row, 0)
        sums: list[torch.Tensor] = []
        for chunk in torch.split(prompt, self._prefill_chunk):
            output = self.target.forward(TokenBatch(chunk, [len(chunk)], row), self.cache, [len(chunk) - 1])
            sums.append(output.hidden.sum(0))
        [rows] = target_rows(output.logits, [1], self.n_tokens)
        verification = state.judge(rows, Proposal([]))
        state.stats.n_prompt = len(prompt)
        state.stats.prefill_s = time.perf_counter() - begin
        return verification, QueryState(state.request, sum(sums[1:], sums[0]) / len(prompt))

    def _round(self) -> list[RoundResult]:
        begin = time.perf_counter()
        states = list(self.running)
        for row, state in enumerate(states):
            if self.cache.lengths[row] >= len(state.tokens):  # left by a step that raised
                self.cache.truncate(row, len(state.tokens) - 1)
        actions = self._choose(states)
        selected = time.perf_counter()
        proposals, draft_s, drafted = [], [], selected
        for state, action in zip(states, actions, strict=True):
            proposals.append(self._propose(state, self.arms[action]))
            draft_s.append(time.perf_counter() - drafted)
            drafted += draft_s[-1]
        tokens = [[state.tokens[-1], *p.token_ids] for state, p in zip(states, proposals, strict=True)]
        batch = TokenBatch.of(tokens, self.target.device)
        output = self.target.forward(batch, self.cache)
        # the round's one device synchronisation, unless it samples
        rows = target_rows(output.logits, batch.counts, self.n_tokens)
        verifications = [state.judge(r, p) for state, r, p in zip(states, rows, proposals, strict=True)]
        for row, verification in enumerate(verifications):
            if verification.spoilt and proposals[row].token_ids:
                proposals[row] = Proposal([])
                verifications[row] = self._judge_undrafted(states[row], self.arms[actions[row]].draft)
        verified = time.perf_counter()
        results = []
        for row, state in enumerate(states):
            results.append(state.commit(proposals[row], verifications[row], actions[row]))
            if results[-1].finished is None:
                self.cache.truncate(row, len(state.tokens) - 1)
        self._account(states, results, actions, draft_s, (begin, selected, drafted, verified))
        return results

    def _judge_undrafted(self, state: Running, draft: Draft) -> Verification:
        """Compute a row again without guesses; if they alone had spoilt its logits, their draft is put aside."""
        row = state.shared.row
        self.cache.wipe(row, len(state.tokens) - 1)
        last = TokenBatch.of([state.tokens[-1:]], self.target.device, row)
        output = self.target.forward(last, self.cache)
        [rows] = target_rows(output.logits, [1], self.n_tokens)
        verification = state.judge(rows, Proposal([]))
        if not verification.spoilt:
            state.put_aside(draft, "the target's logits after its guesses allow no choice")
        return verification

    def _account(
        self,
        states: Sequence[Running],
        results: Sequence[RoundResult],
        actions: Sequence[int],
        draft_s: Sequence[float],
        times: tuple[float, float, float, float],
    ) -> None:
        """File the round's seconds, tell the selector, and take out what has ended."""
        begin, selected, drafted, verified = times
        share = 1 / len(states)
        host_s = time.perf_counter() - verified
        observations = []
        for state, own_s, result, action in zip(states, draft_s, results, actions, strict=True):
            state.stats.select_s += (selected - begin) * share
            state.stats.draft_s += own_s
            state.stats.verify_s += (verified - drafted) * share
            state.stats.host_s += host_s * share
            shared_s = (selected - begin) + (verified - drafted) + host_s
            seconds, n_new = own_s + shared_s * share, len(result.token_ids)
            observations.append(
                RoundObservation(state.request.id, action, result.n_proposed, result.n_accepted, n_new, seconds)
            )
        told = time.perf_counter()
        try:
            self.selector.observe(observations)
        finally:
            observe_s = (time.perf_counter() - told) * share
            for state, result in zip(states, results, strict=True):
                state.stats.select_s += observe_s
                if result.finished is not None:
                    self._finish(state, result.finished)

    def _context(self, state: Running) -> RoundContext:
        arms = self.arms
        return RoundContext(
            state.request.id,
            state.stats.n_prompt,
            state.stats.n_new,
            tuple(state.can_use(arm.draft) for arm in arms),
            state.request.sampling.temperature,
            len(self.running),
            lambda action: state.match_length(arms[action].draft),
        )

    def _choose(self, states: Sequence[Running]) -> list[int]:
        """One arm a request, as the selector would have it."""
        actions = list(self.selector.select([self._context(state) for state in states]))
        if len(actions) != len(states):
            raise ValueError(f"the selector must make {len(states)} choices, one a request, got {len(actions)}")
        for action in actions:
            if not 0 <= action < len(self.arms):
                raise ValueError(f"the selector must choose an arm in [0, {len(self.arms)}), got {action}")
        return actions

    def _propose(self, state: Running, arm: DraftingArm) -> Proposal:
        draft_length = min(arm.draft_length, state.remaining - 1)  # the target adds one token itself
        return state.propose(arm.draft, draft_length, self.n_tokens)

    def _finish(self, state: Running, reason: FinishReason) -> None:
        """Take a request out; the last row moves into its place, so that running rows stay contiguous."""
        row, last = state.shared.row, len(self.running) - 1
        if reason == "failed":
            self.cache.wipe(row)
        if row != last:
            self.cache.move(last, row)
            self.running[row] = self.running[last]
            self.running[row].shared.row = row
        self.running.pop()
        self.cache.truncate(last, 0)
        state.close()
        self.finished[state.request.id] = state.generation(reason)
        self.selector.finish(state.request.id)
