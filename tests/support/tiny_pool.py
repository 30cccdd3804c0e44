"""A whole pool in a folder: a tiny random target with a byte tokenizer, a draft much like it, a pool.toml."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from arms import Query
from speculative.measuring.cost_profile import CostProfile, DraftCost
from tests.support.tiny_models import save_tiny

N_VOCAB = 257
MAX_POSITIONS = 160
TEMPLATE = (
    "{% for message in messages %}{% if message.role == 'robot' %}{{ raise_exception('unknown role') }}{% endif %}"
    "{{ message.role }}: {{ message.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
)
ARMS = ("no_draft", "prompt_lookup_3", "prompt_lookup_7", "draft_small_2")
POOL = """
target = "target"
max_new_tokens = 20
max_batch = 4

[encoder]
kind = "hashing"
n_features = 8

[[arms]]
kind = "no_draft"

[[arms]]
kind = "prompt_lookup"
draft_length = 3

[[arms]]
kind = "prompt_lookup"
draft_length = 7

[[arms]]
kind = "draft_model"
model = "small"
draft_length = 2
"""


def byte_tokenizer(template: str | None = None) -> Any:
    """One token a byte, and one that ends a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: i for i, letter in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.chat_template = template
    return fast


def save_pool(folder: Path, template: str | None = None, pool: str = POOL) -> Path:
    """Write target, draft and pool.toml, and return the pool file."""
    sizes = {"vocab_size": N_VOCAB, "max_position_embeddings": MAX_POSITIONS, "eos_token_id": N_VOCAB - 1}
    model = save_tiny("llama_tied", folder / "target", **sizes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(folder / "small")
    for name in ("target", "small"):
        byte_tokenizer(template).save_pretrained(folder / name)
    file = folder / "pool.toml"
    file.write_text(pool)
    return file


def queries(n: int, first: int = 0) -> list[Query]:
    """Short prompts of two domains."""
    texts = ("count: one two one two one", "the cat sat, the cat sat, the", "abcabcabc", "x")
    return [
        Query(id=f"q{i}", prompt=f"{texts[i % len(texts)]} {i}", domain=("words", "letters")[i % 2])
        for i in range(first, first + n)
    ]


def save_queries(file: Path, rows: list[Query]) -> Path:
    """Write a prompt file."""
    lines = [json.dumps({"id": row.id, "prompt": row.prompt, "domain": row.domain}) for row in rows]
    file.write_text("\n".join(lines) + "\n")
    return file


def plain_costs(*drafts: str, token_s: float = 0.1) -> CostProfile:
    """Round figures instead of measured ones."""
    return CostProfile(
        key="test",
        widths=(1, 5, 9),
        cache_lengths=(64, 128),
        verify_grid=((1.0, 1.4, 1.8), (1.2, 1.6, 2.0)),
        spread=0.0,
        prefill_widths=(32,),
        prefill_grid=(3.0,),
        drafts={name: DraftCost(round_s=0.01, token_s=token_s, read_s=0.001) for name in drafts},
        measured_at=0.0,
    )
