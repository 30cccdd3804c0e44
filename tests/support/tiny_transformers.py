"""Tiny random models of families that only transformers computes."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import transformers

from speculative.models.adapters.transformers_lm import TransformersLM
from tests.support.tiny_models import N_VOCAB

WINDOW = 5
N_POSITIONS = 96
_SIZES = {
    "vocab_size": N_VOCAB,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": N_POSITIONS,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_MIXED = {
    "head_dim": 8,
    "sliding_window": WINDOW,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
    "query_pre_attn_scalar": 8,
}
_OLD = {"vocab_size": N_VOCAB, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_OPT = {"word_embed_proj_dim": 8, "ffn_dim": 24, "do_layer_norm_before": True}
_GPT2 = {"n_embd": 16, "n_layer": 3, "n_head": 4, "n_positions": N_POSITIONS}
_GPT_NEO = {
    "hidden_size": 16,
    "num_layers": 2,
    "num_heads": 4,
    "attention_types": [[["global", "local"], 1]],
    "window_size": WINDOW,
    "max_position_embeddings": N_POSITIONS,
}
_MOVING_ROPE = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
_RECURRENT = {"hidden_size": 16, "state_size": 4, "num_hidden_layers": 2, "conv_kernel": 3}
_LFM2 = {"layer_types": ["conv", "full_attention", "conv"], "conv_L_cache": 3}

# name: configuration class, model class, sizes
ROLLS_BACK: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", _OLD | _GPT2),
    "opt": ("OPTConfig", "OPTForCausalLM", _SIZES | _OPT),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", _SIZES | _MIXED),
    "gemma2_softcap": ("Gemma2Config", "Gemma2ForCausalLM", _SIZES | _MIXED | {"final_logit_softcapping": 2.0}),
    "mistral_sliding": ("MistralConfig", "MistralForCausalLM", _SIZES | {"sliding_window": WINDOW, "head_dim": 4}),
    "cohere_scaled": ("CohereConfig", "CohereForCausalLM", _SIZES | {"logit_scale": 0.3}),
}
STAYS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mamba": ("MambaConfig", "MambaForCausalLM", _OLD | _RECURRENT),
    "lfm2_hybrid": ("Lfm2Config", "Lfm2ForCausalLM", _SIZES | _LFM2),
    "bloom_alibi": ("BloomConfig", "BloomForCausalLM", _OLD | {"hidden_size": 16, "n_layer": 2, "n_head": 4}),
    "gpt_neo_local": ("GPTNeoConfig", "GPTNeoForCausalLM", _OLD | _GPT_NEO),
    "llama_moving_rope": ("LlamaConfig", "LlamaForCausalLM", _SIZES | {"rope_parameters": _MOVING_ROPE}),
}
MAKERS = ROLLS_BACK | STAYS


def random_model(kind: str, seed: int = 0, **changes: Any) -> Any:
    """Transformers' model with weights wide enough that every part of it matters."""
    config_name, model_name, sizes = MAKERS[kind]
    config = getattr(transformers, config_name)(**(sizes | changes))
    model = getattr(transformers, model_name)(config).eval().float()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if kind == "mamba" and "A_log" in name:
                continue  # a recurrence with random rates explodes
            noise = torch.randn(parameter.shape, generator=generator)
            is_gain = "norm" in name or ".ln_" in name
            parameter.copy_((0.0 if "gemma" in kind else 1.0) + 0.3 * noise if is_gain else 0.4 * noise)
    return model


@cache
def tiny_transformers(kind: str) -> tuple[Any, TransformersLM]:
    """A model to compare with and, of the same weights, the engine's target."""
    return random_model(kind), TransformersLM(random_model(kind))


Make = Callable[[str], tuple[Any, TransformersLM]]


@torch.inference_mode()
def full_pass(model, prefix):
    """Transformers' logits and last hidden states of a whole prefix, without any cache."""
    hidden = model.base_model(torch.tensor([prefix]), use_cache=False)[0]
    return model(torch.tensor([prefix]), use_cache=False).logits[0], hidden[0]
