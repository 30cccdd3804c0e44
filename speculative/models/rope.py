"""Rotation speeds of rotary position embedding, and their scaling for longer contexts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch


class UnsupportedModelError(ValueError):
    """A sound configuration of a model that this decoder does not compute; transformers may."""


_NUMBERS = {
    "linear": ("factor",),
    "llama3": ("factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"),
}


def check_rope(rope: Mapping[str, Any], source: str) -> dict[str, Any] | None:
    """Return a configuration's rotary scaling once its numbers are sound; None where it has none.

    Kinds that the decoder does not compute pass: `inverse_frequencies_of` refuses them.

    Args:
        rope: `rope_parameters` or `rope_scaling` of a configuration.
        source: names the configuration.

    Raises:
        ValueError: if the kind is no text, or a number that it needs is missing or not above 0.
    """
    kind = rope.get("rope_type", rope.get("type", "default"))
    if not isinstance(kind, str):
        raise ValueError(f"{source}: rope_type must be a text, got {kind!r}")
    if rope.get("partial_rotary_factor") not in (None, 1, 1.0):
        return {"rope_type": "partial", **{k: v for k, v in rope.items() if k not in ("rope_type", "type")}}
    if kind == "default":
        return None
    for key in _NUMBERS.get(kind, ()):
        _number(rope.get(key), f"{source}: {key} of rope scaling {kind!r}")
    if kind == "longrope":
        for key in ("short_factor", "long_factor"):
            factors = rope.get(key)
            if not isinstance(factors, list) or not factors:
                raise ValueError(f"{source}: {key} of rope scaling {kind!r} must be a list, got {factors!r}")
            for factor in factors:
                _number(factor, f"{source}: {key} of rope scaling {kind!r}")
    return dict(rope)


def inverse_frequencies_of(head_dim: int, theta: float, scaling: Mapping[str, Any] | None) -> torch.Tensor:
    """Rotation speeds of rotary position embedding, one a pair of features.

    Args:
        head_dim: features of a head.
        theta: the base of the geometric row.
        scaling: what `check_rope` gives. "longrope" is computed where its factors do not depend on the length of the
            text, which is how one states factors that a file gives one by one.

    Returns:
        (head_dim / 2,) float32.

    Raises:
        UnsupportedModelError: for any other kind of scaling.

    Source: Su et al. 2021, equation 15 (arXiv:2104.09864); "llama3" as in Meta's Llama 3.1 reference code.
    """
    half = torch.arange(0, head_dim, 2, dtype=torch.int64).float()
    frequencies = 1.0 / theta ** (half / head_dim)
    if scaling is None:
        return frequencies
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "linear":
        return frequencies / float(scaling["factor"])
    if kind == "longrope" and _is_constant(scaling):
        return frequencies / _one_factor_a_pair(scaling["long_factor"], head_dim)
    if kind != "llama3":
        raise UnsupportedModelError(
            f"rope scaling must be default, linear, llama3 or one constant factor a pair, got {kind!r}"
        )
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    if low == high:
        raise ValueError(f"rope scaling: high_freq_factor must differ from low_freq_factor, got {high} for both")
    original = float(scaling["original_max_position_embeddings"])
    wavelengths = 2 * math.pi / frequencies
    blend = ((original / wavelengths - low) / (high - low)).clamp(0.0, 1.0)  # 0: slow, scaled; 1: kept
    return (1 - blend) * frequencies / factor + blend * frequencies


def constant_factors(factors: Sequence[float], n_positions: int) -> dict[str, Any]:
    """Scaling that divides each pair's speed by a factor of its own, in transformers' terms.

    Args:
        factors: one a pair of features.
        n_positions: the model's context.
    """
    held = [float(factor) for factor in factors]
    return {
        "rope_type": "longrope",
        "short_factor": held,
        "long_factor": held,
        "factor": 1.0,
        "attention_factor": 1.0,
        "original_max_position_embeddings": n_positions,
    }


def _is_constant(scaling: Mapping[str, Any]) -> bool:
    return scaling["short_factor"] == scaling["long_factor"] and scaling.get("attention_factor") == 1.0


def _one_factor_a_pair(factors: Sequence[float], head_dim: int) -> torch.Tensor:
    if len(factors) != head_dim // 2:
        raise ValueError(f"rope scaling must have a factor for each of {head_dim // 2} pairs, got {len(factors)}")
    return torch.tensor(factors, dtype=torch.float32)


def _number(value: object, name: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be a finite number above 0, got {value!r}")
