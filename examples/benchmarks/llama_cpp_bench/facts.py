"""What a reader needs to run the bench again: the command, the files by name and digest, the pool's arithmetic."""

import hashlib
import shlex
from collections.abc import Sequence
from pathlib import Path

from arms import Query
from speculative.measuring.text_equality import compare_texts
from speculative.measuring.wall_clock import Run
from speculative.pools.pool import Pool

_OF_THE_PLACE = ("--peers-python", "--serve", "--results")  # say where things lie, and nothing of what is measured


def command_line(script: str, words: Sequence[str]) -> str:
    """Return the command with files by their names: where they lie on one machine is no use on another."""
    kept, skip = [], False
    for word in words:
        name, _, _ = word.partition("=")
        if skip or name in _OF_THE_PLACE:
            skip = not skip and word in _OF_THE_PLACE
            continue
        kept.append(Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(["python", script, *kept])


def file_facts(file: Path) -> dict[str, str]:
    """Return a file's name and SHA-256."""
    with file.open("rb") as opened:
        return {"file": file.name, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def pool_facts(pool: Pool) -> dict[str, object]:
    """Return what a pool computes in, and its arms."""
    held = pool.target.settings
    return {"dtype": str(held.dtype).removeprefix("torch."), "weights": held.weights, "arms": list(pool.arms.names)}


def equality_with(plain: str, pool: Pool, queries: Sequence[Query], runs: Sequence[Run]) -> dict[str, dict[str, int]]:
    """Count, by mode, texts identical with those of mode `plain`, parted at a tie, and different.

    Args:
        plain: name of the mode that all are compared with.
        pool: whose target wrote the texts.
        queries: those that ran.
        runs: of modes that the target answers.
    """
    asked = {query.id: pool.target.request(query).token_ids for query in queries}
    texts = {run.query_id: run.token_ids for run in runs if run.mode == plain}
    counts: dict[str, dict[str, int]] = {}
    for run in runs:
        own = counts.setdefault(run.mode, {"identical": 0, "tie": 0, "different": 0})
        own[compare_texts(pool.target.model, asked[run.query_id], texts[run.query_id], run.token_ids).kind] += 1
    return counts
