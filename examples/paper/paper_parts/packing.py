"""From the folders that were collected to what the repository stores: traces, texts and the pool's facts, rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from arms.atomic_file import atomic_file
from bandits.data.closed_folder import MANIFEST, Manifest, close_folder, survey
from speculative.collection.own_texts import OWN_TEXTS, are_whole, text_of, with_own_texts
from speculative.collection.priced_folder import made_of
from speculative.collection.trace import Trace
from speculative.collection.trace_store import KIND, TRACES, read_trace_parts, write_traces
from speculative.targets.target import Target


def texts_of(out: Path, side: str) -> Path:
    """Return the file of what each draft writes alone on a side's queries."""
    return out / f"{side}-texts.parquet"


def pack(work: Path, out: Path, sides: Sequence[str], target: Target) -> None:
    """Write each side's traces as one part, closed with the facts of the pool that made them, and its texts.

    Contexts, margins and entropies are rounded to half precision, which more than halves the files. What was timed
    stands beside the texts.

    Args:
        work: with a folder that `collect` wrote for each side.
        out: a folder a side is made in it; one that is there is replaced.
        sides: their names.
        target: makes text of token ids.
    """
    for side in sides:
        parts = read_trace_parts(work / side / TRACES)
        if are_whole(work / side / OWN_TEXTS):
            parts = with_own_texts(parts, work / side / OWN_TEXTS)
        traces = [trace for part in parts for trace in part]
        folder = out / side
        (folder / MANIFEST).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_traces(folder, 0, [_rounded(trace) for trace in traces])
        close_folder(folder, Manifest(KIND, survey(folder, KIND).parts, made_of=_facts(work / side)))
        _write_texts(texts_of(out, side), traces, target)


def _facts(folder: Path) -> Mapping[str, object]:
    facts = made_of(folder)
    names = [str(name) for name in facts["arms"]]  # type: ignore[attr-defined]
    kept = ("target", "target_name", "encoder", "arms", *(f"arm {name}" for name in names))
    return {name: facts[name] for name in kept}


def _rounded(trace: Trace) -> Trace:
    halves = {
        name: values if values is None else values.astype(np.float16).astype(np.float32)
        for name, values in (("context", trace.context), ("margins", trace.margins), ("entropies", trace.entropies))
    }
    drafts = {
        name: replace(
            one,
            own=None,
            seconds=None,
            confidences=None if one.confidences is None else one.confidences.astype(np.float16).astype(np.float32),
        )
        for name, one in trace.drafts.items()
    }
    return replace(trace, drafts=drafts, **halves)


def _write_texts(path: Path, traces: Sequence[Trace], target: Target) -> None:
    columns: dict[str, list[object]] = {
        "query_id": [trace.query_id for trace in traces],
        "text": [target.text(trace.new_ids) for trace in traces],
    }
    for name in traces[0].drafts:
        drafts = [trace.drafts[name] for trace in traces]
        if all(draft.own is None for draft in drafts):
            continue
        columns[f"own {name}"] = [draft.own and text_of(draft.own, target) for draft in drafts]
        columns[f"own_s {name}"] = [draft.own and draft.own.seconds for draft in drafts]
        columns[f"trace_s {name}"] = [draft.seconds for draft in drafts]
    with atomic_file(path) as file:
        pq.write_table(pa.table(columns), file, compression="zstd")
