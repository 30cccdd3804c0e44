"""What was timed on a machine beside the traces: runs of the arms, and both kinds of label; a file of each."""

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import Field, ValidationError

from arms.atomic_file import write_file
from arms.strict_model import StrictModel

CLOCK, LABELS = "clock.json", "labels.json"


class TimedRun(StrictModel):
    """A wall-clock run of an arm on a query."""

    query_id: str
    arm: str
    seconds: float = Field(gt=0)
    n_tokens: int = Field(ge=0)
    text: str


class TimedLabel(StrictModel):
    """What a draft's label of a query took by its own text and by replay, and the tokens of both texts.

    `new_tokens` is the most that either text may have; tokens that were not counted are None.
    """

    query_id: str
    draft: str
    new_tokens: int = Field(ge=1)
    own_s: float = Field(gt=0)
    n_own: int | None = None
    replay_s: float = Field(gt=0)
    n_replayed: int | None = None


Row = TypeVar("Row", TimedRun, TimedLabel)


class Timed(StrictModel, Generic[Row]):
    """A file: the digest of the target that was timed, and what it took."""

    target: str
    rows: tuple[Row, ...]


def write_timed(path: Path, target: str, rows: Sequence[TimedRun] | Sequence[TimedLabel]) -> None:
    """Write a file anew."""
    told = [row.model_dump(exclude_none=True) for row in rows]
    write_file(path, json.dumps({"target": target, "rows": told}, indent=0))


def read_runs(folder: Path, target: object, queries: Collection[str], arms: Collection[str]) -> Sequence[TimedRun]:
    """Return the wall-clock runs beside some traces; none where there is no file.

    Args:
        folder: of the target's traces.
        target: its digest.
        queries: ids of the test side.
        arms: of the pool.

    Raises:
        ValueError: if the file is damaged, or of another target, query or arm.
    """
    path = folder / CLOCK
    rows = _rows(path, Timed[TimedRun], target)
    _check_known(path, "query", [row.query_id for row in rows], queries)
    _check_known(path, "arm", [row.arm for row in rows], arms)
    return rows


def read_labels(
    folder: Path, target: object, queries: Collection[str], drafts: Collection[str]
) -> Sequence[TimedLabel]:
    """Return the seconds of both kinds of label beside some traces; see `read_runs`."""
    path = folder / LABELS
    rows = _rows(path, Timed[TimedLabel], target)
    _check_known(path, "query", [row.query_id for row in rows], queries)
    _check_known(path, "draft", [row.draft for row in rows], drafts)
    return rows


def _rows(path: Path, kind: type[Timed[Row]], target: object) -> Sequence[Row]:
    if not path.is_file():
        return ()
    again = f"measure again with make_traces.py --{path.stem}"
    try:
        timed = kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = "".join(f"{step}: " for step in fault["loc"])
        raise ValueError(f"{path}: {where}{fault['msg']}; {again}") from error
    if timed.target != target:
        raise ValueError(f"{path} was timed with another target than the traces beside it: {again}")
    return timed.rows


def _check_known(path: Path, what: str, told: Sequence[str], known: Collection[str]) -> None:
    unknown = [one for one in told if one not in known]
    if unknown:
        raise ValueError(
            f"{path} times the {what} {unknown[0]!r}, which the traces beside it do not have: measure again with "
            f"make_traces.py --{path.stem}"
        )
