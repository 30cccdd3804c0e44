"""A model's transformers tokenizer, and what tells two of them apart."""

import hashlib
import json
from pathlib import Path
from typing import Any


def load_tokenizer(folder: Path) -> Any:
    """Load the transformers tokenizer of a checkpoint folder.

    Raises:
        ValueError: if the folder has none.
    """
    from transformers import AutoTokenizer

    files = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
    if not any((folder / file).is_file() for file in files):
        raise ValueError(f"{folder} holds no tokenizer")
    return AutoTokenizer.from_pretrained(folder)


def tokenizer_fingerprint(tokenizer: Any) -> str:
    """Digest of a tokenizer's vocabulary: equal for tokenizers whose ids mean the same."""
    items = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    return hashlib.sha256(json.dumps(items).encode()).hexdigest()[:16]
