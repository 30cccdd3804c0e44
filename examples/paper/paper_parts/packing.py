"""From the folders that were collected to what the repository stores: traces, texts and the pool's facts, rounded."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from arms.atomic_file import atomic_file
from bandits.data.closed_folder import MANIFEST, Manifest, close_folder, survey
from paper_parts.own_texts import Row, read_own_texts
from speculative.collection.priced_folder import made_of
from speculative.collection.trace import Trace
from speculative.collection.trace_store import KIND, TRACES, read_trace_parts, write_traces


def texts_of(out: Path, side: str) -> Path:
    """Return the file of what each draft writes alone on a side's queries."""
    return out / f"{side}-texts.parquet"


def pack(work: Path, out: Path, sides: Sequence[str]) -> None:
    """Write each side's traces as one part, closed with the facts of the pool that made them, and its texts.

    Contexts, margins and entropies are rounded to half precision, which more than halves the files.

    Args:
        work: with a folder that `collect` wrote for each side.
        out: a folder a side is made in it; one that is there is replaced.
        sides: their names.
    """
    for side in sides:
        traces = [_rounded(trace) for part in read_trace_parts(work / side / TRACES) for trace in part]
        folder = out / side
        (folder / MANIFEST).unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_traces(folder, 0, traces)
        close_folder(folder, Manifest(KIND, survey(folder, KIND).parts, made_of=_facts(work / side)))
        rows = read_own_texts(work / side)
        if rows:
            _write_texts(texts_of(out, side), rows)


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
            own_ids=None,
            confidences=None if one.confidences is None else one.confidences.astype(np.float16).astype(np.float32),
        )
        for name, one in trace.drafts.items()
    }
    return replace(trace, drafts=drafts, **halves)


def _write_texts(path: Path, rows: Sequence[Row]) -> None:
    drafts = list(rows[0]["own"])  # type: ignore[call-overload]
    columns: dict[str, list[object]] = {"query_id": [], "text": []}
    columns |= {f"{what} {draft}": [] for draft in drafts for what in ("own", "own_s", "trace_s")}
    for row in rows:
        columns["query_id"].append(row["query_id"])
        columns["text"].append(row["text"])
        for draft in drafts:
            own_s, trace_s = row["seconds"][draft]  # type: ignore[index]
            columns[f"own {draft}"].append(row["own"][draft])  # type: ignore[index]
            columns[f"own_s {draft}"].append(own_s)
            columns[f"trace_s {draft}"].append(trace_s)
    with atomic_file(path) as file:
        pq.write_table(pa.table(columns), file, compression="zstd")
