"""What each draft writes alone, as the paper labels it, and what that takes beside replay: two timed steps."""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from arms import Query
from arms.atomic_file import write_file
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.pools.pool import Pool

Row = dict[str, object]
LOOK_UPS = ("no_draft", "prompt_lookup", "suffix")  # have no text of their own
LEFT_OUT = ("early_exit_12", "early_exit_18", "early_exit_24")  # write almost as slowly as the target


def write_own_texts(pool: Pool, queries: Sequence[Query], folder: Path) -> Iterator[int]:
    """Write a part for each part of the folder's traces that has none yet, and yield how many queries it holds.

    Each draft with a text of its own writes as many tokens as the target did,
    and is traced once more on the target's text, both timed one after the other. An early exit writes alone on a cache
    of its own.

    Args:
        pool: whose drafts write.
        queries: of the traces, in order.
        folder: that `collect` filled.
    """
    left = list(queries)
    for index, traces in enumerate(read_trace_parts(folder / TRACES)):
        part, left = left[: len(traces)], left[len(traces) :]
        path = folder / f"own-{index:05d}.json"
        if not path.is_file():
            rows = [_row(pool, query, trace) for query, trace in zip(part, traces, strict=True)]
            write_file(path, json.dumps(rows))
        yield len(part)


def read_own_texts(folder: Path) -> list[Row]:
    """Return the rows of all parts, in order."""
    return [row for path in sorted(folder.glob("own-*.json")) for row in json.loads(path.read_text())]


def _row(pool: Pool, query: Query, trace: Trace) -> Row:
    if query.id != trace.query_id:
        raise ValueError(f"the traces are of other prompts: expected query {query.id!r}, got {trace.query_id!r}")
    own: dict[str, str] = {}
    seconds: dict[str, tuple[float, float]] = {}
    for draft in pool.drafts:
        if draft.name in (*LOOK_UPS, *LEFT_OUT):
            continue
        begin = time.perf_counter()
        token_ids = draft.open(trace.prompt_ids).propose(trace.prompt_ids, len(trace.new_ids)).token_ids
        middle = time.perf_counter()
        draft.trace(trace.prompt_ids, trace.new_ids, trace.max_draft_length)
        seconds[draft.name] = middle - begin, time.perf_counter() - middle
        ends = [i for i, token in enumerate(token_ids) if token in pool.target.eos_ids]
        own[draft.name] = pool.target.text(token_ids[: ends[0]] if ends else token_ids)
    return {"query_id": query.id, "text": pool.target.text(trace.new_ids), "own": own, "seconds": seconds}
