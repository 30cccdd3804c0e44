"""The target's text of each query, and every draft traced on it."""

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import numpy as np

from arms import Query
from bandits import ContextEncoder
from bandits.checks import Float32
from speculative.collection.overlaps import overlaps_of
from speculative.collection.pool_work import ArmsAndEncoder
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.protocols.draft_trace import TracedOnStates
from speculative.protocols.request import Generation
from speculative.protocols.selector import QueryState, RoundContext
from speculative.protocols.state_rows import StateRows
from speculative.sampling.certainty import Certainty
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.prefill_encoder import encode_query
from speculative.targets.rule_arm import PoolArm
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target_arm import drafts_of, target_of


def trace_part(pool: ArmsAndEncoder, queries: Sequence[Query], truncate: bool, overlaps: bool) -> list[Trace]:
    """Trace a pool's arms on the queries of a part: `trace_queries`, as a step of `PoolWork`."""
    return trace_queries(queries, pool.arms, pool.encoder, truncate=truncate, overlaps=overlaps)


def trace_queries(
    queries: Sequence[Query],
    arms: Collection[PoolArm],
    encoder: ContextEncoder,
    *,
    truncate: bool = False,
    overlaps: bool = False,
) -> list[Trace]:
    """Generate the target's text of each query in batches, and trace every arm's draft on it.

    Args:
        queries: what is asked.
        arms: of one target.
        encoder: makes the contexts.
        truncate: keep only the last tokens of a prompt that does not fit.
        overlaps: also look at how much of each draft's distribution is the target's: a pass of each over the text.

    Raises:
        ValueError: if a prompt does not fit the target, or the arms have different ones.
    """
    recorder, target = _Recorder(), target_of(arms)
    on_states = _on_states(arms)
    plain = SpeculativeArm(target, _KeepingStates(on_states.values()))
    engine = target.engine([plain], recorder, max_batch=min(target.max_batch, len(queries)))
    recorder.watch(engine)
    requests = [target.request(query) for query in queries]
    if truncate:
        requests = [target.fit(request) for request in requests]
    generations = generate(engine, requests)
    traces = []
    for query, generation in zip(queries, generations, strict=True):
        trace = _trace(recorder, generation, query, arms, encoder, on_states)
        if overlaps:
            shared = overlaps_of(drafts_of(arms), target, trace.prompt_ids, trace.new_ids)
            drafts = {name: replace(found, overlaps=shared.get(name)) for name, found in trace.drafts.items()}
            trace = replace(trace, drafts=drafts)
        traces.append(trace)
    return traces


def _on_states(arms: Collection[PoolArm]) -> dict[str, TracedOnStates]:
    """Return the drafts that are traced on states of the target of the arms, by name."""
    target, drafts = target_of(arms).model, drafts_of(arms)
    return {draft.name: draft for draft in drafts if isinstance(draft, TracedOnStates) and draft.target is target}


class _KeepingStates(NoDraft):
    """Lets an engine keep the states of the target on which drafts are traced."""

    def __init__(self, drafts: Iterable[TracedOnStates]) -> None:
        self.state_layers = tuple(sorted({layer for draft in drafts for layer in draft.trace_layers}))


class _Recorder(FixedSelector):
    """Decodes plainly; keeps what the prefill knows of each query, and how sure the target was of each token."""

    def __init__(self) -> None:
        super().__init__(0)
        self.prefilled: dict[str, QueryState] = {}
        self.states: dict[str, StateRows | None] = {}
        self._engine: Engine | None = None
        self._certainties: dict[str, dict[int, Certainty | None]] = {}

    def watch(self, engine: Engine) -> None:
        """Keep the states that this engine keeps of each request."""
        self._engine = engine

    def start(self, query: QueryState) -> None:
        assert self._engine is not None
        name = query.request.id
        self.prefilled[name], self._certainties[name] = query, {}
        [self.states[name]] = [one.states for one in self._engine.running if one.request.id == name]

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        for round_ in rounds:
            self._certainties[round_.request_id][round_.n_new] = round_.certainty()
        return super().select(rounds)

    def margins_and_entropies(self, query_id: str, n_new: int) -> tuple[Float32, Float32]:
        """Return both for each new token, (n_new,) each; NaN where no round came after the token."""
        rows = np.full((n_new, 2), np.nan, dtype=np.float32)
        for n_before, certainty in self._certainties[query_id].items():
            if certainty is not None:
                rows[n_before - 1] = certainty
        return rows[:, 0].copy(), rows[:, 1].copy()


def _trace(
    recorder: _Recorder,
    generation: Generation,
    query: Query,
    arms: Collection[PoolArm],
    encoder: ContextEncoder,
    on_states: Collection[str],
) -> Trace:
    state, states = recorder.prefilled[query.id], recorder.states.pop(query.id)
    request = state.request
    begin = time.perf_counter()
    context = encode_query(encoder, state)
    encode_s = time.perf_counter() - begin
    new_ids, length = generation.token_ids, max(1, *(arm.draft_length for arm in arms))
    margins, entropies = recorder.margins_and_entropies(query.id, len(new_ids))
    return Trace(
        query_id=request.id,
        domain=query.domain,
        prompt_ids=request.token_ids,
        new_ids=new_ids,
        max_new_tokens=request.max_new_tokens,
        max_draft_length=length,
        context=context,
        encode_s=encode_s,
        drafts={
            name: trace_draft(draft, request.token_ids, new_ids, length, states if name in on_states else None)
            for name, draft in ((draft.name, draft) for draft in drafts_of(arms))
            if not isinstance(draft, NoDraft)
        },
        margins=margins,
        entropies=entropies,
        encoder=encoder.name,
    )
