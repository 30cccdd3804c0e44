"""Tiny random models of every family the decoder knows, made on the spot, with slow references to compare with."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, settings
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from speculative.models.decoder import Decoder
from speculative.models.loading import load_decoder
from speculative.protocols.draft import Draft, DraftSession, Proposal

# Examples are drawn the same way in every run: a tie between two logits could otherwise fail one run in many.
bounded = partial(settings, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])

N_VOCAB = 24
_SIZES = {
    "vocab_size": N_VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "initializer_range": 0.4,
}
_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 100.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 24,
}
_MAKERS: dict[str, tuple[type, type, dict[str, Any]]] = {
    "llama": (LlamaConfig, LlamaForCausalLM, {}),
    "llama_tied": (LlamaConfig, LlamaForCausalLM, {"tie_word_embeddings": True}),
    "llama_bias": (LlamaConfig, LlamaForCausalLM, {"attention_bias": True, "mlp_bias": True}),
    "llama_all_heads": (LlamaConfig, LlamaForCausalLM, {"num_key_value_heads": 4, "head_dim": 6}),
    "llama_rope_llama3": (LlamaConfig, LlamaForCausalLM, {"rope_parameters": _LLAMA3}),
    "llama_rope_linear": (
        LlamaConfig,
        LlamaForCausalLM,
        {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}},
    ),
    "mistral": (MistralConfig, MistralForCausalLM, {"sliding_window": None, "head_dim": 4}),
    "qwen2": (Qwen2Config, Qwen2ForCausalLM, {}),
    "qwen3": (Qwen3Config, Qwen3ForCausalLM, {"head_dim": 8}),
}
KINDS = tuple(_MAKERS)


@dataclass(frozen=True)
class TinyModel:
    """One model twice: transformers' own, and the engine's decoder loaded from its folder."""

    reference: Any
    decoder: Decoder
    folder: Path


def save_tiny(kind: str, folder: Path, seed: int = 0, **changes: Any) -> Any:
    """Write a tiny checkpoint and return transformers' model of it; gains and biases are random too."""
    config_class, model_class, own = _MAKERS[kind]
    generator = torch.Generator().manual_seed(seed)
    model = model_class(config_class(**(_SIZES | own | changes))).eval().float()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(1 + 0.3 * noise if "norm" in name else 0.4 * noise)
    model.save_pretrained(folder)
    return model


def tokenizer_of(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of whole words, the first of which stands for all others."""
    backend = Tokenizer(WordLevel({word: i for i, word in enumerate(words)}, unk_token=words[0]))
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token=words[0])


def make_tiny(kind: str, folder: Path, seed: int = 0, **changes: Any) -> TinyModel:
    """Write a tiny checkpoint and load it both ways."""
    reference = save_tiny(kind, folder, seed, **changes)
    return TinyModel(reference, load_decoder(str(folder)), folder)


@cache
def greedy_text(model: Any, prompt: tuple[int, ...], n_tokens: int) -> tuple[int, ...]:
    """The plainest greedy loop: transformers' model reads the whole prefix again for every token."""
    tokens = list(prompt)
    with torch.inference_mode():
        for _ in range(n_tokens):
            logits = model(torch.tensor([tokens]), use_cache=False).logits
            tokens.append(int(logits[0, -1].argmax()))
    return tuple(tokens[len(prompt) :])


def expected_text(
    model: Any, prompt: tuple[int, ...], max_new_tokens: int, eos_ids: tuple[int, ...]
) -> tuple[int, ...]:
    """Greedy text up to the first end-of-text token, that one included, or the limit."""
    text = greedy_text(model, prompt, 24)[:max_new_tokens]
    ends = [i for i, token in enumerate(text) if token in eos_ids]
    return text[: ends[0] + 1] if ends else text


@dataclass(frozen=True)
class Arm:
    """The least the engine asks of an arm."""

    draft: Draft
    draft_length: int

    @property
    def name(self) -> str:
        return f"{self.draft.name}_{self.draft_length}"


class ScriptedDraft(Draft):
    """Proposes what a function says: `script(prefix, draft_length) -> token ids`."""

    def __init__(self, name: str, script: Any) -> None:
        self.name, self.script = name, script
        self.n_open = 0

    def open(self, prompt: Any, shared: Any = None) -> DraftSession:
        self.n_open += 1
        return _ScriptedSession(self)


class _ScriptedSession(DraftSession):
    def __init__(self, draft: ScriptedDraft) -> None:
        self._draft = draft

    def propose(self, prefix: Any, draft_length: int, sampler: Any = None) -> Proposal:
        return Proposal(self._draft.script(list(prefix), draft_length))

    def close(self, text: Any) -> None:
        self._draft.n_open -= 1
