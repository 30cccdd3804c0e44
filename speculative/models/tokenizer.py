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
        return AutoTokenizer.from_pretrained(folder)
    except Exception as error:  # transformers and tokenizers raise whatever a broken file leads them to
        reason = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{folder}: its tokenizer cannot be read ({type(error).__name__}: {reason})") from error


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Digest of a tokenizer's vocabulary: equal for tokenizers whose ids mean the same."""
    items = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]
