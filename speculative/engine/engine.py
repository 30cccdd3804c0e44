"""The generation loop: submit requests, step rounds, cancel."""

import secrets
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import cast

from speculative.engine.active_request import Running
from speculative.engine.admission import Admission
from speculative.engine.batch_drafting import Drafted, announce_lengths, batch_to_verify, propose_all
from speculative.engine.picks_on_card import rows_read_once, with_picks
from speculative.engine.prompt_reading import (
    Chunk,
    PromptReading,
    forward_with_chunks,
    next_chunks,
    read_chunks,
    share_seconds,
)
from speculative.engine.request_checks import check_request
from speculative.engine.round_clock import RoundClock
from speculative.engine.round_context import ArmTable, arm_of_round, choose_arms
from speculative.engine.round_reporting import open_rounds, report_rounds
from speculative.engine.settings import DEFAULT, EngineSettings
from speculative.engine.state_keeping import keep_states, kept_layers, tapped_model
from speculative.engine.target_rows import target_rows
from speculative.engine.text_stream import TextStream
from speculative.engine.verify import Verification, make_verifier
from speculative.models.batch_invariance import batch_invariant_model
from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.draft import DraftingArm
from speculative.protocols.drafting_rule import EngineArm, check_arms
from speculative.protocols.request import FinishReason, Generation, Request, RoundResult
from speculative.protocols.selector import Selector
from speculative.protocols.state_rows import StateRows
from speculative.sampling.token_sampler import NO_TOKENS, DraftTokens


class Engine:
    """Answers requests with text that is the target's own, whichever draft helps in whichever round.

    Greedy text is the target's greedy text. Sampled text follows the target's distribution: under coupling it is, for
    one seed, the same whichever drafts helped; under rejection sampling more is accepted, and the text depends on them.

    One loop drives an engine: what `step` returns is told once. Where a step raises (the target, a selector or a
    decoder), the requests stay as they were or have finished; the next step goes on, and tells what the one that raised
    could not.

    Args:
        target: the model whose text is kept.
        arms: what a selector may choose from.
        selector: asked once a step for all running requests; without one it is always the first arm.
        settings: how many requests run at once, how token ids become text, and the like.

    Attributes:
        settings: as given.
        n_steps: steps begun.
        finished: what has ended and was not taken yet, by request id.
        cache: keys and values of the target, a row a running request.

    Raises:
        ValueError: if there is no arm, the settings do not suit the target, or it cannot take tokens back and an arm
            drafts.
    """

    def __init__(
        self,
        target: CausalLM,
        arms: Collection[EngineArm],
        selector: Selector | None = None,
        *,
        settings: EngineSettings = DEFAULT,
    ) -> None:
        check_arms(arms, target)
        settings.check_prefix_cache(target)
        self.n_tokens = settings.vocabulary(target)
        self.arms, self.settings, self.target = list(arms), settings, target
        if settings.batch_invariant:
            self.target = batch_invariant_model(target, settings.max_batch, max(arm.draft_length for arm in arms))
        self.selector, self._table = selector, ArmTable(self.arms)
        self._state_layers = kept_layers(self._table, settings.prefix_cache_bytes)
        self.target = tapped_model(self.target, self._state_layers)
        announce_lengths(self.target, arms)
        self.cache = target.new_cache(settings.max_batch)
        self._common: dict[int, tuple[object, object]] = {}  # what drafts hold for all requests
        self._untold: list[RoundResult] = []
        self._admission = Admission(self.cache, settings.prefix_cache_bytes)
        self.finished: dict[str, Generation] = {}
        self.n_steps, self._is_stepping = 0, False

    def add_arms(self, arms: Collection[EngineArm]) -> None:
        """Let further arms be chosen, numbered after those there are; requests that run go on.

        Raises:
            ValueError: see `Engine`; or if the engine is batch-invariant, which was tested with the arms it had, or a
                draft asks for states of the target that it does not keep.
            RuntimeError: inside a step.
        """
        self._refuse_inside_a_step("add_arms")
        check_arms(arms, self.target)
        grown = [*self.arms, *arms]
        table = ArmTable(grown)
        if self.settings.batch_invariant:
            raise ValueError("a batch-invariant engine was tested with the arms that it has: make a new one")
        if (asked := kept_layers(table, self.settings.prefix_cache_bytes)) != self._state_layers:
            kept = self._state_layers
            raise ValueError(f"drafts ask for states of the target of layers {asked}, kept are {kept}: make a new one")
        announce_lengths(self.target, arms)
        self.arms, self._table = grown, table

    @property
    def running(self) -> list[Running]:
        """Requests whose prompts are read, in the order of their cache rows."""
        return self._admission.running

    @property
    def reading(self) -> list[PromptReading]:
        """Prompts that are being read, first come, first served."""
        return self._admission.reading

    @property
    def prefix_bytes(self) -> int:
        """Memory that what is kept of ended requests takes; see `EngineSettings.prefix_cache_bytes`."""
        return self._admission.prefix_bytes

    @property
    def n_unfinished(self) -> int:
        """Requests waiting, being read or running."""
        return len(self._admission.waiting) + self._admission.n_used

    def submit(self, request: Request) -> str:
        """Queue a request and return its id.

        Raises:
            ValueError: if the prompt and its answer cannot fit the target's context or the memory, a token id is
                beyond the vocabulary, the id is in use, or it has stop strings and the engine does not decode.
        """
        check_request(request, self.target, self.cache, self.n_tokens, decodes=self.settings.decode is not None)
        if request.id in self.finished or any(request.id == other for other in self.ids()):
            raise ValueError(f"request id {request.id!r} is in use")
        self._admission.waiting.append(request)
        return request.id

    def step(self) -> list[RoundResult]:
        """Run one draft-verify round for every running request, and read on in the prompts of those admitted.

        The target reads at most `prefill_chunk` prompt tokens in a step, where it can in the round's own pass. So a
        long prompt stops no other request. Where it ends, its request has its first token, and runs from the next step
        on.

        Raises:
            RuntimeError: if called by what a step calls: a selector, a draft or a decoder.
        """
        self._refuse_inside_a_step("step")
        self.n_steps, self._is_stepping = self.n_steps + 1, True
        try:
            self._finish_ended()  # left by a step that raised
            admission = self._admission
            chunks: Sequence[Chunk] = ()
            if admission.waiting:
                admission.admit(self._state)
            if admission.reading:
                chunks = next_chunks(admission.to_read(), self.settings.prefill_chunk)
            if chunks and not (admission.running and self.target.packs_rows):
                read_chunks(self.target, self.cache, chunks)
                chunks = ()
            if admission.running:
                self._round(chunks)
            if admission.reading:
                self._begin_read()
        finally:
            self._is_stepping = False
        told, self._untold = self._untold, []
        return told

    def cancel(self, request_id: str) -> None:
        """Stop a request and free its row; what it has generated so far can still be taken.

        Raises:
            ValueError: if no such request is waiting or running.
            RuntimeError: inside a step, whose rows would move.
        """
        self._refuse_inside_a_step("cancel")
        state = next((state for state in self.running if state.request.id == request_id), None)
        if state is not None:
            if state.text is not None:
                state.text.finish()
            self._finish(state, "cancelled")
            return
        request = self._admission.withdraw(request_id)
        if request is None:
            raise ValueError(f"no request {request_id!r} is waiting or running")
        self.finished[request_id] = Generation.not_begun(request, decodes=self.settings.decode is not None)

    def take(self, request_id: str) -> Generation:
        """Hand over a finished request and forget it.

        Raises:
            ValueError: if it has not finished.
        """
        if request_id not in self.finished:
            raise ValueError(f"request {request_id!r} has not finished")
        self._untold = [result for result in self._untold if result.request_id != request_id]
        return self.finished.pop(request_id)

    def discard(self, request_id: str) -> None:
        """Forget a request, whether it waits, runs or has finished.

        Raises:
            ValueError: if there is none of that id.
        """
        if request_id not in self.finished:
            self.cancel(request_id)
        self.take(request_id)

    def _refuse_inside_a_step(self, name: str) -> None:
        if self._is_stepping:
            raise RuntimeError(f"{name} must be called between steps, not by what a step calls")

    def ids(self) -> list[str]:
        """Return the requests that wait, are being read or run, in that order."""
        return self._admission.ids

    def _begin_read(self) -> None:
        """Let those run whose prompts are read; where this raises, the next step goes on with it."""
        errors: list[Exception] = []
        for reading in [reading for reading in self.reading if reading.n_left == 0]:
            verification, query = reading.first_token()
            self._admission.begin(reading)
            begin, state = time.perf_counter(), reading.state
            self._commit(state, NO_TOKENS, verification, None, errors)
            if self.selector is not None:
                try:
                    self.selector.start(query)
                except Exception as error:
                    errors.append(error)
            state.stats.select_s += time.perf_counter() - begin
        self._finish_ended(errors)

    def _state(self, request: Request) -> Running:
        """Put a request on the next free row."""
        params = request.sampling
        seed = None if params.greedy else secrets.randbits(62) if params.seed is None else params.seed
        verifier = make_verifier(params, seed or 0, self.n_tokens)
        decode, unshown, stop = self.settings.decode, self.settings.unshown, cast(tuple[str, ...], params.stop)
        text = None if decode is None else TextStream(decode, stop, unshown)
        states = StateRows(self._state_layers) if self._state_layers else None
        target, cache, n, row = self.target, self.cache, self.n_tokens, self._admission.n_used
        return Running(request, verifier, target, cache, n, row, seed, text, states=states, common=self._common)

    def _round(self, chunks: Sequence[Chunk]) -> None:
        states, table = list(self._admission.running), self._table
        opened, clock = open_rounds(states, table), RoundClock(len(states))
        for state in states:
            if self.cache.lengths[state.row] >= len(state.tokens):  # left by a step that raised
                self.cache.truncate(state.row, len(state.tokens) - 1)
        actions = choose_arms(self.selector, states, table)
        clock.selected()
        arms = [arm_of_round(state, table, actions[i], len(states)) for i, state in enumerate(states)]
        drafted = propose_all(states, arms, clock, together=not self.settings.batch_invariant)
        verifications = self._verify(states, arms, drafted, chunks)
        clock.verified()
        if chunks:
            share_seconds(chunks, clock.of_prompts(sum(chunk.n for chunk in chunks), drafted.n_read))
        errors: list[Exception] = []
        results = [
            self._commit(state, drafted.tokens[i], verifications[i], actions[i], errors)
            for i, state in enumerate(states)
        ]
        clock.account(states)
        if self.selector is not None:
            try:
                self.selector.observe(clock.observations(results))
            except Exception as error:
                errors.append(error)
            clock.observed(states)
        if opened:
            report_rounds(opened, states, self.arms, list(zip(arms, drafted.tokens, strict=True)), results)
        self._finish_ended(errors)

    def _verify(
        self, states: Sequence[Running], arms: Sequence[DraftingArm], drafted: Drafted, chunks: Sequence[Chunk]
    ) -> list[Verification]:
        """Let the target read every request's draft tokens and the chunks in one pass, and verify the former."""
        target, device = self.target, self.target.device
        asks = [] if device.type == "cpu" else drafted.asks(states)
        batch = with_picks(batch_to_verify(states, drafted, device), asks, self.n_tokens)
        output = forward_with_chunks(target, batch, self.cache, chunks) if chunks else target.forward(batch, self.cache)
        if device.type == "cpu":
            rows = target_rows(output.logits, batch.counts, self.n_tokens)
        else:  # the host waits for the card here
            rows = rows_read_once(output, batch, asks, self.n_tokens)
            drafted.settle(states, arms)
        tokens = drafted.tokens
        verifications = [state.verify(rows[i], tokens[i]) for i, state in enumerate(states)]
        if self._state_layers:
            keep_states(states, batch, output, verifications)
        for i, found in enumerate(verifications):
            if found.next_token is None and found.n_accepted < batch.counts[i] - 1:  # the pass read on after that row
                verifications[i] = states[i].verify_again(arms[i].draft, tokens[i], found)
        return verifications

    def _commit(
        self,
        state: Running,
        drafted: DraftTokens,
        verification: Verification,
        action: int | None,
        errors: list[Exception],
    ) -> RoundResult | None:
        """Add what a round gave to a text, and keep it to be told; a decoder that raises spares the other requests."""
        try:
            result = state.commit(drafted, verification, action)
        except Exception as error:
            errors.append(error)
            return None
        if state.ended is None:
            self.cache.truncate(state.row, len(state.tokens) - 1)
        if state.text is not None:
            try:
                result = result._replace(text=state.release(state.text))
            except Exception as error:
                errors.append(error)
                if state.ended is not None:  # no later round can tell the rest: once more
                    with suppress(Exception):
                        result = result._replace(text=state.release(state.text))
        self._untold.append(result)
        return result

    def _finish_ended(self, errors: Sequence[Exception] = ()) -> None:
        """Take out what has ended, then raise the first of the errors: what raised costs no other request its end."""
        raised = list(errors)
        for state, reason in [(state, state.ended) for state in self._admission.running if state.ended is not None]:
            try:
                self._finish(state, reason)
            except Exception as error:
                raised.append(error)
        if raised:
            raise raised[0]

    def _finish(self, state: Running, reason: FinishReason) -> None:
        """Take a request out and free its row."""
        self._admission.leave(state, has_failed=reason == "failed")
        try:
            state.drafting.close(state.tokens)
        finally:
            self.finished[state.request.id] = state.generation(reason)
            if self.selector is not None:
                self.selector.finish(state.request.id)
