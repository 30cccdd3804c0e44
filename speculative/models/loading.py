"""Load any causal LM: into the engine's own decoder where it computes the family, else into transformers."""

import json
from pathlib import Path
from typing import Literal

import torch

from speculative.models.checkpoint_files import (
    DEFAULT_CACHE,
    WeightPrecision,
    check_device,
    load_decoder,
    resolve_model,
)
from speculative.models.config import SUPPORTED_FAMILIES, DecoderConfig, inverse_frequencies
from speculative.protocols.causal_lm import CausalLM

Backend = Literal["auto", "decoder", "transformers"]


def load_model(
    name: str,
    *,
    backend: Backend = "auto",
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    cache: Path = DEFAULT_CACHE,
    weights: WeightPrecision = "dense",
    min_rows: int = 1,
) -> CausalLM:
    """Load a target model.

    Args:
        name: as `resolve_model` takes it.
        backend: "decoder", the engine's own, which is fast; "transformers", its model of the family; "auto", the
            decoder where it computes the model exactly, else transformers.
        dtype: of the weights and the KV cache.
        device: of both.
        cache: where converted weights are kept.
        weights: of the decoder, as `load_decoder` takes it; transformers' models have dense ones only.
        min_rows: of the decoder.

    Raises:
        ValueError: if the model cannot be found, is incomplete or not a causal LM, or an option is not to be had.
    """
    if backend not in ("auto", "decoder", "transformers"):
        raise ValueError(f"backend must be 'auto', 'decoder' or 'transformers', got {backend!r}")
    check_device(device)
    folder = resolve_model(name, cache)
    if backend == "decoder" or (backend == "auto" and _is_decoders(folder)):
        return load_decoder(str(folder), dtype=dtype, device=device, cache=cache, weights=weights, min_rows=min_rows)
    if weights != "dense":
        raise ValueError(
            f"{folder}: weights={weights!r} needs the engine's decoder, which computes {SUPPORTED_FAMILIES}"
        )
    from speculative.models.adapters.transformers_lm import load_transformers_lm

    return load_transformers_lm(folder, dtype=dtype, device=device)


def _is_decoders(folder: Path) -> bool:
    """Whether the decoder computes the folder's configuration; a broken one is for whoever loads it to report."""
    try:
        raw = json.loads((folder / "config.json").read_text())
        inverse_frequencies(DecoderConfig.from_dict(raw))
    except (OSError, ValueError):  # no file, no JSON, or another family, window or rope scaling
        return False
    return True
