"""What a resumable job was begun with, so that it never goes on with something else."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from arms.atomic_file import write_file
from arms.input_file import read_text
from arms.query import Query


def check_manifest(path: Path, asked: Mapping[str, object]) -> None:
    """Write what a job was asked at its first start; at a later one, refuse anything else.

    Args:
        path: JSON file in the job's folder, which is made if missing.
        asked: what the job depends on, as JSON values.

    Raises:
        ValueError: if the folder was begun with something else, naming what; or the file is damaged.
    """
    asked = json.loads(json.dumps(asked))
    if not path.exists():
        write_file(path, json.dumps(asked, indent=1))
        return
    try:
        begun = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); name another folder, or delete this one") from error
    begun = begun if isinstance(begun, dict) else {}
    other = [key for key, value in asked.items() if begun.get(key) != value]
    if other:
        raise ValueError(
            f"{path.parent} was begun with other {', '.join(other)}; "
            "name another folder, or delete this one to start anew"
        )


def digest_queries(queries: Sequence[Query]) -> str:
    """Return a digest of everything the queries say."""
    texts = json.dumps([query.model_dump() for query in queries])
    return hashlib.sha256(texts.encode()).hexdigest()
