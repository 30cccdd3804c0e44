"""What a Llama-family decoder is made of, read from a checkpoint's `config.json`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

SUPPORTED_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
_SIZES = (
    "vocab_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_size",
    "intermediate_size",
    "rms_norm_eps",
)


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes and constants of a decoder; all counts are in units of heads, features or tokens."""

    n_vocab: int
    n_layers: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    n_features: int
    n_intermediate: int
    max_positions: int
    rms_norm_eps: float
    rope_theta: float
    rope_scaling: dict[str, Any] | None
    tied_head: bool

    @classmethod
    def from_folder(cls, folder: Path) -> "DecoderConfig":
        """Read `config.json` of a checkpoint folder.

        Raises:
            ValueError: if the file is missing or broken, or the model is not one this decoder computes.
        """
        path = folder / "config.json"
        if not path.is_file():
            raise ValueError(f"{folder} holds no config.json; name a checkpoint folder, a hub id or a .gguf file")
        try:
            raw = json.loads(path.read_text())
        except json.JSONDecodeError as error:
            raise ValueError(f"{path} is not valid JSON: {error}") from error
        return cls.from_dict(raw, source=str(path))

    @classmethod
    def from_dict(cls, raw: dict[str, Any], source: str = "config") -> "DecoderConfig":
        """Check a transformers configuration and keep what the decoder needs.

        Raises:
            ValueError: if the model is not one this decoder computes exactly, or a size is missing.
        """
        family = raw.get("model_type")
        if family not in SUPPORTED_FAMILIES:
            raise ValueError(f"{source}: model_type must be one of {SUPPORTED_FAMILIES}, got {family!r}")
        if raw.get("hidden_act", "silu") != "silu":
            raise ValueError(f"{source}: hidden_act must be 'silu', got {raw['hidden_act']!r}")
        max_positions = int(raw.get("max_position_embeddings", 2048))
        window = raw.get("sliding_window", 4096 if family == "mistral" else None)  # transformers' default
        if not raw.get("use_sliding_window", family == "mistral"):
            window = None
        if window is not None and window < max_positions:
            raise ValueError(
                f"{source}: sliding_window {window} is shorter than the context of {max_positions}, and this decoder "
                "computes full attention only; load the model with backend='transformers'"
            )
        missing = [key for key in _SIZES if key not in raw]
        if missing:
            raise ValueError(f"{source}: {missing[0]} is missing; it is no complete model configuration")
        # transformers 5 keeps theta inside `rope_parameters`; earlier files keep both at the top level.
        rope = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
        return cls(
            n_vocab=int(raw["vocab_size"]),
            n_layers=int(raw["num_hidden_layers"]),
            n_heads=int(raw["num_attention_heads"]),
            n_kv_heads=int(raw.get("num_key_value_heads") or raw["num_attention_heads"]),
            head_dim=int(raw.get("head_dim") or raw["hidden_size"] // raw["num_attention_heads"]),
            n_features=int(raw["hidden_size"]),
            n_intermediate=int(raw["intermediate_size"]),
            max_positions=max_positions,
            rms_norm_eps=float(raw["rms_norm_eps"]),
            rope_theta=float(rope.get("rope_theta") or raw.get("rope_theta") or 10_000.0),
            rope_scaling=rope if rope.get("rope_type", rope.get("type", "default")) != "default" else None,
            tied_head=bool(raw.get("tie_word_embeddings", False)),
        )


def inverse_frequencies(config: DecoderConfig) -> torch.Tensor:
    """Rotation speeds of rotary position embedding, one a pair of features.

    Returns:
        (head_dim / 2,) float32.

    Raises:
        ValueError: for a scaling kind other than default, linear and llama3.

    Source: Su et al. 2021, equation 15 (arXiv:2104.09864); "llama3" as in Meta's Llama 3.1 reference code.
    """
    half = torch.arange(0, config.head_dim, 2, dtype=torch.int64).float()
    frequencies = 1.0 / config.rope_theta ** (half / config.head_dim)
    scaling = config.rope_scaling
    if scaling is None:
        return frequencies
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "linear":
        return frequencies / float(scaling["factor"])
    if kind != "llama3":
        raise ValueError(f"rope scaling must be default, linear or llama3, got {kind!r}")
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = float(scaling["original_max_position_embeddings"])
    wavelengths = 2 * math.pi / frequencies
    blend = ((original / wavelengths - low) / (high - low)).clamp(0.0, 1.0)  # 0: slow, scaled; 1: kept
    return (1 - blend) * frequencies / factor + blend * frequencies
