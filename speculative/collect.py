"""Prompts in, full-information data out: what every arm of a pool would have brought on every query."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from arms import Query
from bandits import FullInformationData, part_indices
from rewards import Reward, Speedup
from speculative.drafts.no_draft import NoDraft
from speculative.engine.cost_profile import CostProfile
from speculative.engine.engine import Engine
from speculative.engine.generate import generate
from speculative.engine.request import Generation
from speculative.engine.selector import Action, Choice, QueryState, RoundContext, RoundObservation
from speculative.hidden_state_encoder import HiddenStateEncoder
from speculative.pool import Pool
from speculative.replay import observe
from speculative.speculative_arm import SpeculativeArm
from speculative.trace import Trace, trace_draft
from speculative.trace_store import read_trace_parts, write_traces

PART_SIZE = 16
TRACES = "traces"


def collect(
    queries: Sequence[Query],
    pool: Pool,
    folder: Path,
    costs: CostProfile,
    *,
    own_texts: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> FullInformationData:
    """Generate the target's text once per query, trace every draft on it, and store rewards, seconds, observations.

    Work is done and written in parts of 16 queries. A stopped run goes on where it was when it is called again with
    the same queries and pool; nothing written is lost.

    Args:
        queries: at least one; ids are unique.
        pool: target, arms and encoder.
        folder: part files of `FullInformationData`; `traces/` inside it holds what replay needs.
        costs: seconds on this machine, from `cached_costs`.
        own_texts: also let each draft model write its own answer, which `RougeL` compares with the target's.
        on_progress: told how many more queries are done.

    Returns:
        The data: rewards are `Speedup` over no draft, costs are seconds.

    Raises:
        ValueError: if a prompt does not fit the target, or the folder belongs to other queries or another pool.
    """
    if not queries:
        raise ValueError("collect needs at least one query")
    requests = [pool.target.request(query) for query in queries]
    engine = Engine(pool.target.model, [SpeculativeArm(pool.target, NoDraft())])
    for request in requests:  # refuse a prompt that does not fit before any work is done
        engine.submit(request)
    _check_manifest(folder, queries, pool, own_texts)
    done = set(part_indices(folder / TRACES))
    for begin in range(0, len(queries), PART_SIZE):
        part, index = queries[begin : begin + PART_SIZE], begin // PART_SIZE
        if index not in done:
            write_traces(folder / TRACES, index, trace_queries(part, pool, own_texts=own_texts), pool.encoder.name)
        if on_progress is not None:
            on_progress(len(part))
    for index, traces in enumerate(read_trace_parts(folder / TRACES)):
        data_from_traces(traces, pool, costs).write_part(folder, index)
    return FullInformationData.load(folder)


def trace_queries(queries: Sequence[Query], pool: Pool, *, own_texts: bool = False) -> list[Trace]:
    """Generate the target's text of each query in batches, and trace every draft on it."""
    recorder = _Recorder()
    arm = SpeculativeArm(pool.target, NoDraft())
    engine = Engine(pool.target.model, [arm], recorder, max_batch=min(pool.spec.max_batch, len(queries)))
    requests = [pool.target.request(query) for query in queries]
    generations = generate(engine, requests)
    traces = []
    for query, request, generation in zip(queries, requests, generations, strict=True):
        begin = time.perf_counter()
        context = _context(pool, query, recorder.states[query.id])
        encode_s = time.perf_counter() - begin
        drafts = {
            draft.name: trace_draft(draft, request.token_ids, generation.token_ids, pool.max_draft_length, own_texts)
            for draft in pool.drafts
            if not isinstance(draft, NoDraft)
        }
        traces.append(_trace(query, generation, request.token_ids, request.max_new_tokens, pool, context, encode_s, drafts))
    return traces


def data_from_traces(
    traces: Sequence[Trace], pool: Pool, costs: CostProfile, reward: Reward | None = None
) -> FullInformationData:
    """Replay every arm on every trace; no model runs.

    Args:
        traces: of this pool's drafts.
        pool: its arms, in order.
        costs: seconds of a pass and of each draft.
        reward: value put on an observation; `Speedup` over no draft by default.
    """
    reward = reward or Speedup()
    texts = [pool.target.text(trace.new_ids) for trace in traces]
    observations = [
        tuple(observe(trace, arm, pool.target, costs, text) for arm in pool.drafting_arms)
        for trace, text in zip(traces, texts, strict=True)
    ]
    return FullInformationData(
        contexts=np.stack([trace.context for trace in traces]),
        rewards=np.array([[reward(observation) for observation in row] for row in observations]),
        arm_names=tuple(arm.name for arm in pool.drafting_arms),
        costs=np.array([[observation.seconds for observation in row] for row in observations]),
        query_ids=tuple(trace.query_id for trace in traces),
        domains=tuple(trace.domain for trace in traces),
        observations=tuple(observations),
        encoder=pool.encoder.name,
    )


def _trace(
    query: Query,
    generation: Generation,
    prompt_ids: tuple[int, ...],
    max_new_tokens: int,
    pool: Pool,
    context: np.ndarray,
    encode_s: float,
    drafts: dict,
) -> Trace:
    return Trace(
        query_id=query.id,
        domain=query.domain,
        prompt_ids=prompt_ids,
        new_ids=generation.token_ids,
        max_new_tokens=max_new_tokens,
        max_draft_length=pool.max_draft_length,
        context=context,
        encode_s=encode_s,
        drafts=drafts,
    )


def _context(pool: Pool, query: Query, state: QueryState) -> np.ndarray:
    if isinstance(pool.encoder, HiddenStateEncoder):
        return pool.encoder.from_mean(state.hidden_mean)
    return pool.encoder.encode([query.text])[0]


def _check_manifest(folder: Path, queries: Sequence[Query], pool: Pool, own_texts: bool) -> None:
    """Refuse to go on in a folder that was begun with other queries or another pool."""
    asked = {
        "queries": hashlib.sha256(json.dumps([query.model_dump() for query in queries]).encode()).hexdigest(),
        "pool": pool.spec.model_dump(mode="json"),
        "own_texts": own_texts,
    }
    path = folder / "collect.json"
    if path.is_file():
        begun = json.loads(path.read_text())
        for key, value in asked.items():
            if begun.get(key) != value:
                raise ValueError(f"{folder} was begun with other {key}; name another folder, or delete this one to start anew")
        return
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(asked, indent=1))
    os.replace(partial, path)


class _Recorder:
    """A selector that decodes plainly and keeps what the prefill knows of each query."""

    def __init__(self) -> None:
        self.states: dict[str, QueryState] = {}

    def start(self, query: QueryState) -> None:
        self.states[query.request.id] = query

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[Choice]:
        return [Action(0)] * len(rounds)

    def observe(self, observations: Sequence[RoundObservation]) -> None:
        pass

    def finish(self, request_id: str) -> None:
        pass
