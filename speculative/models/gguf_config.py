"""What a GGUF file of the Llama family says of its model, as a transformers configuration: all of it, or refused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speculative.models.gguf_file import GgufFile
from speculative.models.gguf_metadata import ENDS, check_sizes
from speculative.models.rope import constant_factors

ARCHITECTURES = ("llama", "qwen2", "qwen3")
ROPE_FACTORS = "rope_freqs.weight"
_SIZES = {
    "context_length": "max_position_embeddings",
    "embedding_length": "hidden_size",
    "block_count": "num_hidden_layers",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}
_READ = {
    *_SIZES,
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.sliding_window",
    "rope.freq_base",
    "rope.dimension_count",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.finetuned",  # says how the model was trained, not how it is computed
    "vocab_size",
}
# Keys that change nothing at these values.
_NEUTRAL: dict[str, object] = {
    "expert_count": 0,
    "expert_used_count": 0,
    "attention.causal": True,
    "rope.scale_linear": 1.0,
    "rope.scaling.attn_factor": 1.0,
    "rope.scaling.yarn_ext_factor": 1.0,
    "rope.scaling.yarn_attn_factor": 1.0,
    "use_parallel_residual": False,
    "logit_scale": 1.0,
}


def config_of(file: GgufFile) -> dict[str, Any]:
    """Return the configuration of the model that a GGUF file of a known architecture holds.

    Raises:
        ValueError: if a size is missing, values contradict each other, or the file says something of the model's
            computation that would not be honoured.
    """
    architecture = file.metadata["general.architecture"]
    said = {k.removeprefix(f"{architecture}."): v for k, v in file.metadata.items() if k.startswith(f"{architecture}.")}
    for key, value in said.items():
        if key not in _READ and not (key in _NEUTRAL and value == _NEUTRAL[key]):
            raise ValueError(f"{file.path}: {architecture}.{key} = {str(value)[:40]} is not honoured, so not read")
    check_sizes(file)
    if file.metadata.get("general.type", "model") != "model":
        raise ValueError(f"{file.path}: general.type must be 'model', got {file.metadata['general.type']!r}")
    missing = [key for key in _SIZES if key not in said]
    if missing:
        raise ValueError(f"{file.path} lacks {architecture}.{missing[0]}; it is no complete model file")
    config = {name: _one(file, key, said[key]) for key, name in _SIZES.items()}
    heads = config["num_attention_heads"]
    config["num_key_value_heads"] = _one(file, "attention.head_count_kv", said.get("attention.head_count_kv", heads))
    config["head_dim"] = _head_dim(file, said, config)
    config["vocab_size"] = _vocab_size(file, said)
    window = said.get("attention.sliding_window")
    if window is not None and window < config["max_position_embeddings"]:
        raise ValueError(f"{file.path}: attention.sliding_window {window} is shorter than the context and is not read")
    names = file.tensors
    biased = "blk.0.attn_output.bias" in names
    return config | {
        "model_type": architecture,
        "hidden_act": "silu",
        "tie_word_embeddings": "output.weight" not in names,
        "attention_bias": biased,
        "mlp_bias": "blk.0.ffn_up.bias" in names,
        "rope_parameters": _rope(file, said, config),
        **_token_ids(file.metadata),
    }


def write_generation_config(metadata: Mapping[str, Any], folder: Path) -> None:
    """Keep every token at which the file says that a text, a turn or a message ends; none where it names none.

    Tokens between a repository's files end a text too, as in llama.cpp.
    """
    named = (metadata.get(f"tokenizer.ggml.{kind}_token_id") for kind in ENDS)
    ids = list(dict.fromkeys(token for token in named if token is not None))
    if ids:
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))


def _one(file: GgufFile, key: str, value: Any) -> Any:
    """Return a number, or the one that a list of one a layer repeats."""
    values = value if isinstance(value, list) else [value]
    if len(set(values)) != 1:
        raise ValueError(f"{file.path}: {key} must be the same in every layer, got {str(values)[:60]}")
    return values[0]


def _head_dim(file: GgufFile, said: Mapping[str, Any], config: Mapping[str, Any]) -> int:
    default = config["hidden_size"] // max(1, config["num_attention_heads"])
    head_dim: int = said.get("attention.key_length", default)
    for key in ("attention.value_length", "rope.dimension_count"):
        if said.get(key, head_dim) != head_dim:
            raise ValueError(f"{file.path}: {key} must be the head size {head_dim}, got {said[key]}")
    return head_dim


def _vocab_size(file: GgufFile, said: Mapping[str, Any]) -> int:
    if "token_embd.weight" not in file.tensors:
        raise ValueError(f"{file.path} lacks the tensor 'token_embd.weight'; it is incomplete")
    n_rows = file.tensors["token_embd.weight"].shape[0]
    n_tokens = len(file.metadata.get("tokenizer.ggml.tokens") or ())
    if said.get("vocab_size", n_rows) != n_rows or n_tokens > n_rows:
        raise ValueError(
            f"{file.path}: token_embd.weight must have a row for each token, got {n_rows} for a vocab_size of "
            f"{said.get('vocab_size')} and {n_tokens} tokens"
        )
    return n_rows


def _rope(file: GgufFile, said: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    theta = {"rope_theta": said.get("rope.freq_base", 10_000.0)}
    kind = said.get("rope.scaling.type", "linear")  # as llama.cpp has it, which also reads a factor of 0 as none
    factor = said.get("rope.scaling.factor") or 1.0
    is_unscaled = kind == "none" or (kind == "linear" and factor == 1.0)
    if ROPE_FACTORS in file.tensors:
        if not is_unscaled:
            raise ValueError(
                f"{file.path}: rope.scaling.type must be none beside {ROPE_FACTORS}, got {kind!r} by {factor}"
            )
        factors = file.tensors[ROPE_FACTORS].dense().reshape(-1).tolist()
        if len(factors) != config["head_dim"] // 2:
            raise ValueError(
                f"{file.path}: {ROPE_FACTORS} must hold {config['head_dim'] // 2} numbers, got {len(factors)}"
            )
        return theta | constant_factors(factors, config["max_position_embeddings"])
    if is_unscaled:
        return theta | {"rope_type": "default"}
    if kind not in ("linear", "yarn") or "rope.scaling.factor" not in said:
        raise ValueError(
            f"{file.path}: rope.scaling.type {kind!r} with the factor {factor} is not honoured, so not read"
        )
    scaling = {"rope_type": kind, "factor": factor}
    if kind == "yarn":
        names = {
            "original_context_length": "original_max_position_embeddings",
            "yarn_beta_fast": "beta_fast",
            "yarn_beta_slow": "beta_slow",
        }
        scaling |= {name: said[f"rope.scaling.{key}"] for key, name in names.items() if f"rope.scaling.{key}" in said}
    return theta | scaling


def _token_ids(metadata: Mapping[str, Any]) -> dict[str, Any]:
    named = {"bos_token_id": "bos", "eos_token_id": "eos", "pad_token_id": "padding"}
    return {key: metadata.get(f"tokenizer.ggml.{name}_token_id") for key, name in named.items()}
