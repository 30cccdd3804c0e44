"""The target's own greedy text on many prompts, on disk: what drafts are distilled from."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from arms import Query
from arms.atomic_file import write_file
from arms.input_file import read_bytes
from speculative.drafts.no_draft import NoDraft
from speculative.engine.generate import generate
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target

PART_SIZE = 64
Progress = Callable[[str, int, int], None]
"""Called with (stage, done, of how many)."""


@dataclass(frozen=True, slots=True)
class TargetText:
    """One prompt and the target's greedy answer, as token ids."""

    id: str
    prompt_ids: tuple[int, ...]
    new_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Corpus:
    """The target's text on the prompts of one domain.

    Attributes:
        train: texts to learn from.
        held_out: texts to measure on.
        folder: where they lie, and what the target thinks along the training texts.
    """

    train: Sequence[TargetText]
    held_out: Sequence[TargetText]
    folder: Path


def write_both_sides(
    target: Target, sides: tuple[Sequence[Query], Sequence[Query]], folder: Path, tell: Progress, domain: str = ""
) -> Corpus:
    """Write the target's text on training and held-out prompts; arguments and errors as in `write_corpus`."""
    texts = []
    for side, queries in zip(("train", "held_out"), sides, strict=True):
        counter = _Counter(tell, f"writing {side} text{domain and f' of {domain}'}", len(queries))
        texts.append(write_corpus(target, queries, folder / side, on_progress=counter.add))
    return Corpus(texts[0], texts[1], folder)


def write_corpus(
    target: Target,
    queries: Sequence[Query],
    folder: Path,
    *,
    max_batch: int = 32,
    on_progress: Callable[[int], None] | None = None,
) -> list[TargetText]:
    """Generate the target's text for every query, part by part; parts already on disk are kept and read.

    Args:
        target: the model that writes; its `max_new_tokens` bounds a text.
        queries: the prompts; the same list must be given to go on with a stopped run.
        folder: holds `part-00000.jsonl` and so on.
        max_batch: texts written at once.
        on_progress: called with how many more texts are ready.

    Raises:
        ValueError: if a part is unreadable, or was written for other prompts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts: list[TargetText] = []
    for begin in range(0, len(queries), PART_SIZE):
        part, path = queries[begin : begin + PART_SIZE], folder / f"part-{begin // PART_SIZE:05d}.jsonl"
        if path.exists():
            done = read_corpus_part(path)
            if [text.id for text in done] != [query.id for query in part]:
                raise ValueError(f"{path} was written for other prompts; name another folder or delete it")
        else:
            done = _generate_part(target, part, max_batch)
            _write_corpus_part(path, done)
        texts += done
        if on_progress is not None:
            on_progress(len(part))
    return texts


def _write_corpus_part(path: Path, texts: Sequence[TargetText]) -> None:
    """Write a text a line, after a line with their digest."""
    body = "".join(json.dumps(asdict(text)) + "\n" for text in texts)
    write_file(path, json.dumps({"sha256": hashlib.sha256(body.encode()).hexdigest()}) + "\n" + body)


def read_corpus_part(path: Path) -> list[TargetText]:
    """Read one part of a corpus.

    Raises:
        ValueError: naming the file, if its lines are not those that were written.
    """
    try:
        header, _, body = read_bytes(path).partition(b"\n")
        if json.loads(header)["sha256"] != hashlib.sha256(body).hexdigest():
            raise ValueError("its lines are not those that were written")
        rows = [json.loads(line) for line in body.splitlines()]
        return [TargetText(row["id"], tuple(row["prompt_ids"]), tuple(row["new_ids"])) for row in rows]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}): delete it and run again") from error


def _generate_part(target: Target, queries: Sequence[Query], max_batch: int) -> list[TargetText]:
    engine = target.engine([SpeculativeArm(target, NoDraft())], max_batch=max_batch)
    requests = [target.request(query) for query in queries]
    return [
        TargetText(request.id, request.token_ids, generation.token_ids)
        for request, generation in zip(requests, generate(engine, requests), strict=True)
    ]


class _Counter:
    """Turns 'n more' into 'so many of so many'."""

    def __init__(self, tell: Progress, stage: str, total: int) -> None:
        self._tell, self._stage, self._total, self._done = tell, stage, total, 0

    def add(self, n: int) -> None:
        self._done += n
        self._tell(self._stage, self._done, self._total)
