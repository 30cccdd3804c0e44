"""Observations on disk: JSONL parts that are written whole, and know the job they belong to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from arms.atomic_file import write_file
from arms.input_file import read_bytes
from arms.observation import Observation


def write_part(path: Path, observations: Sequence[Observation], job: str) -> None:
    """Write a part: a header with the job and a digest of the rest, then an observation a line.

    Args:
        path: file to write.
        observations: what it shall hold, in order.
        job: digest of all that the job depends on.
    """
    body = "".join(json.dumps(observation.to_dict()) + "\n" for observation in observations)
    header = {"job": job, "sha256": hashlib.sha256(body.encode()).hexdigest()}
    write_file(path, json.dumps(header) + "\n" + body)


def read_part(path: Path, job: str) -> list[Observation]:
    """Read a part.

    Raises:
        ValueError: naming the file, if it is damaged or belongs to another job.
    """
    try:
        first, _, body = read_bytes(path).partition(b"\n")
        header = json.loads(first)
        found, digest = header["job"], header["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, repr(error)) from error
    if found != job:
        raise ValueError(f"{path} belongs to another job; name another folder, or delete the file to pull again")
    if hashlib.sha256(body).hexdigest() != digest:
        raise _damaged(path, "its lines are not those that were written")
    return [Observation.from_dict(json.loads(line)) for line in body.splitlines()]


def _damaged(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path} is damaged ({reason}); delete it to pull again")
