"""The target's text of each query, and every draft traced on it, here or in other workers."""

import pickle
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Protocol

import numpy as np
import torch

from arms import Executor, Query
from arms.executors import Failed
from arms.fingerprint import fingerprint
from bandits import ContextEncoder
from bandits.checks import Float32
from speculative.collection.arm_plan import plan_facts
from speculative.collection.trace import Trace, trace_draft
from speculative.drafts.no_draft import NoDraft
from speculative.engine.generate import generate
from speculative.protocols.request import Generation
from speculative.protocols.selector import QueryState, RoundContext
from speculative.sampling.certainty import Certainty
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.prefill_encoder import encode_query
from speculative.targets.rule_arm import PoolArm
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target_arm import drafts_of, target_of


class ArmsAndEncoder(Protocol):
    """What is collected from; a `Pool` is one."""

    @property
    def arms(self) -> Collection[PoolArm]:
        """Arms of one target."""

    @property
    def encoder(self) -> ContextEncoder:
        """Makes the contexts."""


def pool_facts(pool: ArmsAndEncoder) -> dict[str, object]:
    """Return what a manifest says of a pool: its target's digest and name, its encoder's digest, what each arm is."""
    target = target_of(pool.arms)
    return {
        "target": target.fingerprint(),
        "target_name": PurePath(target.name).name,
        "encoder": fingerprint(pool.encoder),
        "arms": [arm.name for arm in pool.arms],
        **{f"arm {arm.name}": plan_facts(arm) for arm in pool.arms},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class PartTracing:
    """Traces parts of the queries, wherever an executor runs it; its pool travels, or is loaded, once for each worker.

    Attributes:
        pool: whose arms are traced.
        facts: of the pool that is wanted, see `pool_facts`.
        own_texts: see `CollectSettings`.
        truncate: keep only the last tokens of a prompt that does not fit.
        threads: see `CollectSettings`.
    """

    pool: ArmsAndEncoder
    facts: Mapping[str, object]
    own_texts: bool = False
    truncate: bool = False
    threads: int | None = None

    def __reduce__(self) -> tuple[Callable[..., "PartTracing"], tuple[object, ...]]:
        """Travel with the pool still packed, since torch must have its threads before models are loaded."""
        return _arrive, (self.threads, pickle.dumps(self.pool), self.facts, self.own_texts, self.truncate)

    def __call__(self, queries: Sequence[Query]) -> list[Trace]:
        """Return the traces of one part.

        Raises:
            ValueError: if the pool that was loaded here has another target, arm or encoder.
        """
        loaded = pool_facts(self.pool)
        other = [name for name, fact in self.facts.items() if loaded.get(name) != fact]
        if other:
            raise ValueError(
                f"this worker loaded another {', '.join(other)} than the process that asks: give all the same files, "
                "draftpick and number of threads and, where the pool says auto, a dtype"
            )
        return trace_queries(
            queries, self.pool.arms, self.pool.encoder, own_texts=self.own_texts, truncate=self.truncate
        )


def _arrive(
    threads: int | None, pool: bytes, facts: Mapping[str, object], own_texts: bool, truncate: bool
) -> PartTracing:
    """Set torch's threads in a worker, and load the pool."""
    if threads is not None:
        torch.set_num_threads(threads)
    return PartTracing(pool=pickle.loads(pool), facts=facts, own_texts=own_texts, truncate=truncate, threads=threads)


def trace_parts(
    work: PartTracing, parts: Sequence[Sequence[Query]], executor: Executor | None
) -> Iterator[list[Trace]]:
    """Yield the traces of each part, in order.

    Raises:
        RuntimeError: if a part fails in an executor's worker, or its worker dies.
    """
    if executor is None:
        yield from map(work, parts)
        return
    for part, result in zip(parts, executor.map(work, parts), strict=True):
        if isinstance(result, Failed):
            raise RuntimeError(
                f"the queries {part[0].id!r} to {part[-1].id!r} could not be traced: {result.reason}; what was written "
                "is kept, and the same call goes on there"
            )
        yield result


def trace_queries(
    queries: Sequence[Query],
    arms: Collection[PoolArm],
    encoder: ContextEncoder,
    *,
    own_texts: bool = False,
    truncate: bool = False,
) -> list[Trace]:
    """Generate the target's text of each query in batches, and trace every arm's draft on it.

    Args:
        queries: what is asked.
        arms: of one target.
        encoder: makes the contexts.
        own_texts: also let each draft model write its own answer.
        truncate: keep only the last tokens of a prompt that does not fit.

    Raises:
        ValueError: if a prompt does not fit the target, or the arms have different ones.
    """
    recorder, target = _Recorder(), target_of(arms)
    engine = target.engine([SpeculativeArm(target, NoDraft())], recorder, max_batch=min(target.max_batch, len(queries)))
    requests = [target.request(query) for query in queries]
    if truncate:
        requests = [target.fit(request) for request in requests]
    generations = generate(engine, requests)
    traces = []
    for query, generation in zip(queries, generations, strict=True):
        trace = _trace(recorder.states[query.id], generation, query.domain, arms, encoder, own_texts)
        margins, entropies = recorder.margins_and_entropies(query.id, len(trace.new_ids))
        traces.append(replace(trace, margins=margins, entropies=entropies))
    return traces


class _Recorder(FixedSelector):
    """Decodes plainly; keeps what the prefill knows of each query, and how sure the target was of each token."""

    def __init__(self) -> None:
        super().__init__(0)
        self.states: dict[str, QueryState] = {}
        self._certainties: dict[str, dict[int, Certainty | None]] = {}

    def start(self, query: QueryState) -> None:
        self.states[query.request.id], self._certainties[query.request.id] = query, {}

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
    state: QueryState,
    generation: Generation,
    domain: str | None,
    arms: Collection[PoolArm],
    encoder: ContextEncoder,
    own_texts: bool,
) -> Trace:
    request = state.request
    begin = time.perf_counter()
    context = encode_query(encoder, state)
    encode_s = time.perf_counter() - begin
    new_ids, length = generation.token_ids, max(1, *(arm.draft_length for arm in arms))
    return Trace(
        query_id=request.id,
        domain=domain,
        prompt_ids=request.token_ids,
        new_ids=new_ids,
        max_new_tokens=request.max_new_tokens,
        max_draft_length=length,
        context=context,
        encode_s=encode_s,
        drafts={
            draft.name: trace_draft(draft, request.token_ids, new_ids, length, own_texts)
            for draft in drafts_of(arms)
            if not isinstance(draft, NoDraft)
        },
        encoder=encoder.name,
    )
