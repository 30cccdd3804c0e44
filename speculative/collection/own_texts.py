"""What each draft writes alone, the labels of Huang et al. 2024: a step of its own, timed, stored beside the traces."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from arms import Executor, Query
from bandits.data.closed_folder import Manifest, closed_manifest, read_closed
from bandits.data.parquet_parts import write_table
from speculative.collection.pool_work import ArmsAndEncoder, PoolWork
from speculative.collection.resumed_parts import close_parts, missing_parts
from speculative.collection.trace import Trace
from speculative.protocols.draft_trace import OwnText
from speculative.targets.target import Target
from speculative.targets.target_arm import drafts_of, target_of

KIND = "OwnTexts"
OWN_TEXTS = "own_texts"  # the folder beside the traces
OwnTexts = Mapping[str, OwnText]
"""Of one query, by draft; one that writes nothing alone, such as a look-up, is not in it."""


def write_part(pool: ArmsAndEncoder, queries: Sequence[Query], truncate: bool) -> list[OwnTexts]:
    """Let each draft of a pool answer the queries of a part alone, one after the other: a step of `PoolWork`.

    Each writes greedily until its own end-of-text token or the query's limit, whatever the target wrote.
    Source: Huang et al. 2024 (arXiv:2408.08470), the labels of its offline data.
    """
    target = target_of(pool.arms)
    written: list[OwnTexts] = []
    for query in queries:
        request = target.request(query)
        request = target.fit(request) if truncate else request
        texts = {}
        for draft in drafts_of(pool.arms):
            begin = time.perf_counter()
            token_ids = draft.write(request.token_ids, request.max_new_tokens, target.eos_ids)
            if token_ids is not None:
                texts[draft.name] = OwnText(tuple(token_ids), time.perf_counter() - begin)
        written.append(texts)
    return written


def write_missing(
    folder: Path,
    parts: Sequence[Sequence[Query]],
    work: PoolWork[OwnTexts],
    executor: Executor | None,
    on_progress: Callable[[int], None],
) -> None:
    """Do the parts that are missing, each whole or not at all, and close the folder.

    Args:
        folder: of the own texts.
        parts: the queries of each.
        work: of `write_part`.
        executor: see `CollectSettings`.
        on_progress: told how many more queries are done.
    """
    missing = missing_parts(folder, len(parts), KIND, _read)
    written = work.over([parts[index] for index in missing], executor)
    for index, part in enumerate(parts):
        if index in missing:
            _store(folder, index, part, next(written))
        on_progress(len(part))
    close_parts(folder, KIND)


def are_whole(folder: Path) -> bool:
    """Say whether the own texts of a collection are all there."""
    return Manifest.read(folder) is not None


def text_of(own: OwnText, target: Target) -> str:
    """Return what a draft wrote alone as text, without the end-of-text token."""
    return target.text([token for token in own.token_ids if token not in target.eos_ids])


def with_own_texts(parts: Iterator[list[Trace]], folder: Path) -> Iterator[list[Trace]]:
    """Yield the traces of each part with what their drafts write alone.

    Args:
        parts: of traces, in order.
        folder: of the own texts.

    Raises:
        ValueError: if the folder is not closed, a part of it is damaged, or it is of other queries.
    """
    for traces, texts in zip(parts, _read(folder, closed_manifest(folder, KIND)), strict=True):
        if [trace.query_id for trace in traces] != list(texts):
            raise ValueError(f"{folder} holds own texts of other queries than the traces beside it: delete it")
        yield [_with(trace, texts[trace.query_id]) for trace in traces]


def _with(trace: Trace, texts: OwnTexts) -> Trace:
    drafts = {name: replace(found, own=texts.get(name)) for name, found in trace.drafts.items()}
    return replace(trace, drafts=drafts)


def _read(folder: Path, manifest: Manifest) -> Iterator[dict[str, OwnTexts]]:
    """Yield the own texts of each part, by query."""
    for path, table, header in read_closed(folder, manifest):
        drafts = header.get("drafts")
        try:
            if not isinstance(drafts, list):
                raise TypeError("it names no drafts")
            yield {
                row["query_id"]: {
                    draft: OwnText(tuple(row[f"token_ids_{i}"]), float(row[f"seconds_{i}"]))
                    for i, draft in enumerate(drafts)
                    if row[f"token_ids_{i}"] is not None
                }
                for row in table.to_pylist()
            }
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a whole part of own texts ({error!r}): delete it and run again") from error


def _store(folder: Path, part_index: int, queries: Sequence[Query], texts: Sequence[OwnTexts]) -> None:
    drafts = sorted({name for written in texts for name in written})
    columns: dict[str, pa.Array] = {"query_id": pa.array([query.id for query in queries], pa.string())}
    for i, draft in enumerate(drafts):
        found = [written.get(draft) for written in texts]
        columns[f"token_ids_{i}"] = pa.array([one and one.token_ids for one in found], pa.list_(pa.int32()))
        columns[f"seconds_{i}"] = pa.array([one and one.seconds for one in found], pa.float64())
    write_table(folder, part_index, pa.table(columns), {"kind": KIND, "drafts": drafts})
