"""What a Llama-family decoder is made of, read from a checkpoint's `config.json`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from speculative.models.json_file import read_json_object
from speculative.models.rope import UnsupportedModelError, check_rope, inverse_frequencies_of

SUPPORTED_FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
_MAX_COUNT = 2**31 - 1
_MAX_POSITIONS = 2**22  # the table of rotations holds a row for each


@dataclass(frozen=True, slots=True)
class DecoderConfig:
    """Sizes and constants of a decoder; all counts are in units of heads, features or tokens.

    Attributes:
        rope_scaling: the kind of rotary scaling and its numbers; None for none.
        tied_head: whether the token embedding is the head, too, unless the checkpoint holds another.
        qkv_bias: whether the query, key and value projections have biases.
        out_bias: whether the attention's output projection has one.
        mlp_bias: whether the feed-forward projections have them.
        head_norms: whether each query and key head is normalised.
    """

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
    qkv_bias: bool = False
    out_bias: bool = False
    mlp_bias: bool = False
    head_norms: bool = False

    @classmethod
    def from_folder(cls, folder: Path) -> "DecoderConfig":
        """Read `config.json` of a checkpoint folder.

        Raises:
            UnsupportedModelError: if the model is not one this decoder computes.
            ValueError: if the file is missing or broken.
        """
        path = folder / "config.json"
        if not path.exists():
            raise ValueError(f"{folder} holds no config.json; name a checkpoint folder, a hub id or a .gguf file")
        return cls.from_dict(read_json_object(path), source=str(path))

    @classmethod
    def from_dict(cls, raw: dict[str, Any], source: str = "config") -> "DecoderConfig":
        """Check a transformers configuration and keep what the decoder needs.

        Raises:
            UnsupportedModelError: if the model is not one this decoder computes exactly.
            ValueError: if a size is missing or impossible.
        """
        family = raw.get("model_type")
        if family not in SUPPORTED_FAMILIES:
            raise UnsupportedModelError(f"{source}: model_type must be one of {SUPPORTED_FAMILIES}, got {family!r}")
        read = _Reader(raw, source)
        n_heads, n_features = read.count("num_attention_heads"), read.count("hidden_size")
        n_kv_heads = read.count("num_key_value_heads", n_heads)
        head_dim = read.count("head_dim", 128 if family == "qwen3" else n_features // n_heads)
        if n_heads % n_kv_heads:
            raise ValueError(
                f"{source}: num_attention_heads must be a multiple of num_key_value_heads {n_kv_heads}, got {n_heads}"
            )
        if head_dim % 2 or head_dim == 0:
            raise ValueError(f"{source}: head_dim must be even and >= 2, got {head_dim}")
        max_positions = read.count("max_position_embeddings", 2048, _MAX_POSITIONS)
        _check_computable(family, read, max_positions)
        # transformers 5 keeps theta inside `rope_parameters`; earlier files keep both at the top level.
        rope = read.mapping("rope_parameters") or read.mapping("rope_scaling")
        theta = read.number("rope_theta", 10_000.0)
        rope_theta = _Reader(rope, f"{source}: rope_parameters").number("rope_theta", theta)
        biased = read.flag("attention_bias") and family in ("llama", "qwen3")
        return cls(
            n_vocab=read.count("vocab_size"),
            n_layers=read.count("num_hidden_layers"),
            n_heads=n_heads,
            n_kv_heads=n_kv_heads,
            head_dim=head_dim,
            n_features=n_features,
            n_intermediate=read.count("intermediate_size"),
            max_positions=max_positions,
            rms_norm_eps=read.number("rms_norm_eps"),
            rope_theta=rope_theta,
            rope_scaling=check_rope(rope, source),
            tied_head=read.flag("tie_word_embeddings"),
            qkv_bias=biased or family == "qwen2",
            out_bias=biased,
            mlp_bias=read.flag("mlp_bias") and family == "llama",
            head_norms=family == "qwen3",
        )


class _Reader:
    """Values of a configuration by kind; None counts as left out, as in transformers."""

    def __init__(self, raw: Mapping[str, Any], source: str) -> None:
        self.raw, self.source = raw, source

    def get(self, key: str, default: object = None) -> Any:
        value = self.raw.get(key)
        return default if value is None else value

    def count(self, key: str, default: int | None = None, most: int = _MAX_COUNT) -> int:
        value = self._required(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise ValueError(f"{self.source}: {key} must be a whole number in [1, {most}], got {value!r}")
        return value

    def number(self, key: str, default: float | None = None) -> float:
        value = self._required(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"{self.source}: {key} must be a finite number above 0, got {value!r}")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.get(key, False)
        if not isinstance(value, bool):
            raise ValueError(f"{self.source}: {key} must be true or false, got {value!r}")
        return value

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.get(key, {})
        if not isinstance(value, dict):
            raise ValueError(f"{self.source}: {key} must be an object, got {value!r}")
        return value

    def _required(self, key: str, default: object) -> object:
        value = self.get(key, default)
        if value is None:
            raise ValueError(f"{self.source}: {key} is missing; it is no complete model configuration")
        return value


def _check_computable(family: str, read: _Reader, max_positions: int) -> None:
    """Refuse what transformers computes and this decoder does not."""
    if read.get("hidden_act", "silu") != "silu":
        raise UnsupportedModelError(f"{read.source}: hidden_act must be 'silu', got {read.get('hidden_act')!r}")
    if not (read.flag("use_sliding_window") if "use_sliding_window" in read.raw else family == "mistral"):
        return
    has_window = family != "mistral" or "sliding_window" in read.raw
    window = read.count("sliding_window", _MAX_COUNT) if has_window else 4096  # transformers' default
    if window < max_positions:
        raise UnsupportedModelError(
            f"{read.source}: sliding_window {window} is shorter than the context of {max_positions}, and this decoder "
            "computes full attention only; load the model with backend='transformers'"
        )


def inverse_frequencies(config: DecoderConfig) -> torch.Tensor:
    """Rotation speeds of rotary position embedding, one a pair of features.

    Returns:
        (head_dim / 2,) float32.

    Raises:
        UnsupportedModelError: for a scaling that this decoder does not compute.
    """
    return inverse_frequencies_of(config.head_dim, config.rope_theta, config.rope_scaling)
