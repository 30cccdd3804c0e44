"""What both kinds of label take, measured side by side: replay of the target's text, and the draft's own text."""

import time
from collections.abc import Sequence
from pathlib import Path

from arms import Query
from paper_parts.timed import LABELS, TimedLabel, write_timed
from speculative.collection.own_texts import write_part
from speculative.collection.tracing import trace_queries
from speculative.demo.queries import pick_evenly
from speculative.pools.pool import Pool

LENGTHS = (64, 256)
_PART = 4  # queries whose target texts are written together


def measure_labels(
    pool: Pool,
    queries: Sequence[Query],
    arms: Sequence[str],
    out: Path,
    seconds: float,
    lengths: Sequence[int] = LENGTHS,
) -> None:
    """Label some queries both ways, the one first and then the other first, until the time is up; keep the seconds.

    Args:
        pool: of the target and its drafts.
        queries: evenly taken over domains.
        arms: whose drafts write alone.
        out: takes `labels.json`.
        seconds: no further part of the queries is begun after so many.
        lengths: most new tokens of a text, of the target's and of a draft's own.
    """
    writers = Pool(pool.target, [pool.arms[name] for name in arms], encoder=pool.encoder)
    asked, rows, begin = pick_evenly(queries, len(queries)), list[TimedLabel](), time.perf_counter()
    _measured(writers, asked[:1], 8, replay_first=True)  # what only a first call does
    for number, first in enumerate(range(0, len(asked), _PART)):
        for n_tokens in lengths:
            rows += _measured(writers, asked[first : first + _PART], n_tokens, replay_first=number % 2 == 0)
        if time.perf_counter() - begin > seconds:
            break
    write_timed(out / LABELS, pool.target.fingerprint(), rows)


def _measured(writers: Pool, queries: Sequence[Query], n_tokens: int, *, replay_first: bool) -> list[TimedLabel]:
    asked = [query.model_copy(update={"max_new_tokens": n_tokens}) for query in queries]
    traces = trace_queries(asked, writers.arms, writers.encoder) if replay_first else []
    texts = write_part(writers, asked, truncate=False)
    traces = traces or trace_queries(asked, writers.arms, writers.encoder)
    return [
        TimedLabel(
            query_id=trace.query_id,
            draft=draft,
            new_tokens=n_tokens,
            own_s=own[draft].seconds,
            n_own=len(own[draft].token_ids),
            replay_s=found.seconds,
            n_replayed=len(trace.new_ids),
        )
        for trace, own in zip(traces, texts, strict=True)
        for draft, found in trace.drafts.items()
        if draft in own
    ]
