"""Traces on disk: Parquet part files beside the data made from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from bandits.data.closed_folder import Manifest, closed_manifest, read_closed
from bandits.data.parquet_parts import write_table
from speculative.collection.resumed_parts import close_parts, missing_parts
from speculative.collection.trace import Trace
from speculative.protocols.draft_trace import DraftTrace

KIND = "Trace"
TRACES = "traces"  # the folder beside the data
VERSION = 2  # of what a trace holds
_Row = dict[str, Any]


def write_traces(folder: Path, part_index: int, traces: Sequence[Trace]) -> None:
    """Write one part, whole or not at all.

    Args:
        folder: of the parts.
        part_index: place of this part; one of the same index is replaced.
        traces: at least one, all of the same drafts, `max_draft_length` and encoder.
    """
    drafts = list(traces[0].drafts)
    columns: dict[str, pa.Array] = {
        "query_id": pa.array([trace.query_id for trace in traces], pa.string()),
        "domain": pa.array([trace.domain for trace in traces], pa.string()),
        "prompt_ids": pa.array([trace.prompt_ids for trace in traces], pa.list_(pa.int32())),
        "new_ids": pa.array([trace.new_ids for trace in traces], pa.list_(pa.int32())),
        "max_new_tokens": pa.array([trace.max_new_tokens for trace in traces], pa.int32()),
        "context": _lists([trace.context for trace in traces], pa.float32()),
        "encode_s": pa.array([trace.encode_s for trace in traces], pa.float64()),
        "margins": _lists([trace.margins for trace in traces], pa.float32()),
        "entropies": _lists([trace.entropies for trace in traces], pa.float32()),
    }
    for i, draft in enumerate(drafts):
        found = [trace.drafts[draft] for trace in traces]
        columns[f"proposed_{i}"] = _lists([item.proposed for item in found], pa.int32())
        columns[f"accepted_{i}"] = _lists([item.accepted for item in found], pa.int32())
        columns[f"match_lengths_{i}"] = _lists([item.match_lengths for item in found], pa.int32())
        columns[f"confidences_{i}"] = _lists([item.confidences for item in found], pa.float32())
        columns[f"overlaps_{i}"] = _lists([item.overlaps for item in found], pa.float32())
        columns[f"seconds_{i}"] = pa.array([item.seconds for item in found], pa.float64())
    header: dict[str, object] = {
        "kind": KIND,
        "version": VERSION,
        "drafts": drafts,
        "max_positions": [traces[0].drafts[draft].max_positions for draft in drafts],
        "stops": [traces[0].drafts[draft].stops for draft in drafts],
        "max_draft_length": traces[0].max_draft_length,
        "encoder": traces[0].encoder,
    }
    write_table(folder, part_index, pa.table(columns), header)


def missing_trace_parts(folder: Path, n_parts: int) -> list[int]:
    """Return the indices of the parts that are still to be written: `missing_parts`."""
    return missing_parts(folder, n_parts, KIND, _traces)


def close_traces(folder: Path) -> None:
    """Close a folder of traces that lacks no part."""
    close_parts(folder, KIND)


def read_trace_parts(folder: Path) -> Iterator[list[Trace]]:
    """Yield the traces of each part of a closed folder, in order.

    Raises:
        FileNotFoundError: if there is no part.
        ValueError: if the folder is not closed, or a part is missing, damaged or of another run; the message names it.
    """
    return _traces(folder, closed_manifest(folder, KIND))


def _lists(rows: Sequence[npt.NDArray[np.generic] | None], kind: pa.DataType) -> pa.Array:
    return pa.array([None if row is None else row.tolist() for row in rows], pa.list_(kind))


def _traces(folder: Path, manifest: Manifest) -> Iterator[list[Trace]]:
    for path, table, header in read_closed(folder, manifest):
        version = header.get("version", 1)
        if version != VERSION:
            raise ValueError(
                f"{path} holds traces of version {version}, which this draftpick (version {VERSION}) cannot replay: "
                "collect into another folder"
            )
        try:
            yield [_trace(row, header) for row in table.to_pylist()]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{path} is not a whole part of traces ({error!r}): delete it and run again") from error


def _trace(row: _Row, header: _Row) -> Trace:
    drafts = {}
    stops = header.get("stops") or [False] * len(header["drafts"])  # written before drafts could
    for i, draft in enumerate(header["drafts"]):
        matches, confidences, overlaps = (
            row[f"match_lengths_{i}"],
            row[f"confidences_{i}"],
            row.get(f"overlaps_{i}"),
        )
        drafts[draft] = DraftTrace(
            proposed=np.array(row[f"proposed_{i}"], dtype=np.int32),
            accepted=np.array(row[f"accepted_{i}"], dtype=np.int32),
            match_lengths=None if matches is None else np.array(matches, dtype=np.int32),
            confidences=None if confidences is None else np.array(confidences, dtype=np.float32),
            max_positions=header["max_positions"][i],
            stops=stops[i],
            overlaps=None if overlaps is None else np.array(overlaps, dtype=np.float32),
            seconds=row.get(f"seconds_{i}"),  # as of the overlaps, not in what was traced before they were kept
        )
    margins, entropies = row["margins"], row["entropies"]
    return Trace(
        query_id=row["query_id"],
        domain=row["domain"],
        prompt_ids=tuple(row["prompt_ids"]),
        new_ids=tuple(row["new_ids"]),
        max_new_tokens=row["max_new_tokens"],
        max_draft_length=header["max_draft_length"],
        context=np.array(row["context"], dtype=np.float32),
        encode_s=row["encode_s"],
        drafts=drafts,
        margins=None if margins is None else np.array(margins, dtype=np.float32),
        entropies=None if entropies is None else np.array(entropies, dtype=np.float32),
        encoder=header["encoder"],
    )
