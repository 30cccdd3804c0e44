"""A model's transformers tokenizer, and what tells two of them apart."""

import hashlib
import json
from pathlib import Path
from typing import Any

from speculative.models.json_file import check_regular_files


def load_tokenizer(folder: Path) -> Any:
    """Load the transformers tokenizer of a checkpoint folder.

    Raises:
        ValueError: if the folder has none, or its files are broken.
    """
    from transformers import AutoTokenizer

    check_regular_files(folder)
    files = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    if not any((folder / file).is_file() for file in files):
        raise ValueError(f"{folder} holds no tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer("a")  # some settings are looked at only here
    except Exception as error:  # transformers and tokenizers raise whatever a broken file leads them to
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{folder}: its tokenizer cannot be read ({type(error).__name__}: {reason})") from error
    return tokenizer


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Digest of a tokenizer's vocabulary: equal for tokenizers whose ids mean the same."""
    items = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]


def differing_ids(target: Any, draft: Any) -> frozenset[int]:
    """Return the ids that two tokenizers give to different tokens, if they differ in added tokens alone.

    An id that only one of them has counts as different.

    Raises:
        ValueError: naming a token of the common vocabulary that differs.
    """
    tokens_of = [
        {token_id: token for token, token_id in tokenizer.get_vocab().items()} for tokenizer in (target, draft)
    ]
    added = {*target.added_tokens_decoder, *draft.added_tokens_decoder}
    differing = {i for i in tokens_of[0].keys() | tokens_of[1].keys() if tokens_of[0].get(i) != tokens_of[1].get(i)}
    if differing - added:
        first = min(differing - added)
        raise ValueError(f"id {first} is {tokens_of[1].get(first)!r}, to the target {tokens_of[0].get(first)!r}")
    return frozenset(differing)
