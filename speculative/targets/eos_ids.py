"""Which tokens end a text."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from speculative.models.json_file import read_json_object


def read_eos_ids(folder: Path, tokenizer: Any) -> tuple[int, ...]:
    """Tokens that end a text: those at which transformers' `generate` stops, and the tokenizer's own.

    Args:
        folder: a checkpoint. Its `generation_config.json` counts or, where that names none, its `config.json`.
        tokenizer: its transformers tokenizer.

    Returns:
        Ids in the order found, each once; none where nobody names any.

    Raises:
        ValueError: if a file is not JSON, or its `eos_token_id` neither an id nor a list of ids.
    """
    found: list[int] = []
    for name in ("generation_config.json", "config.json"):
        found = _eos_ids_of(folder / name)
        if found:
            break
    return join_eos_ids(found, tokenizer)


def join_eos_ids(found: int | Iterable[int] | None, tokenizer: Any) -> tuple[int, ...]:
    """Return a model's own ids and the tokenizer's, in that order, each once.

    Args:
        found: the ids that a generation configuration names: one, several or none.
        tokenizer: a transformers tokenizer.
    """
    ids = [] if found is None else [found] if isinstance(found, int) else list(found)
    own = tokenizer.eos_token_id
    return tuple(dict.fromkeys([*ids, *([] if own is None else [own])]))


def _eos_ids_of(file: Path) -> list[int]:
    if not file.is_file():
        return []
    value = read_json_object(file).get("eos_token_id")
    ids = [] if value is None else value if isinstance(value, list) else [value]
    if not all(isinstance(token, int) and not isinstance(token, bool) and token >= 0 for token in ids):
        raise ValueError(f"{file}: eos_token_id must be an id >= 0 or a list of such ids, got {value!r}")
    return ids
