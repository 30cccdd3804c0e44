"""Sizes of real models, for random weights: what a pass takes does not depend on what the weights are."""

from typing import Any

_LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
_SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads")
SHAPES: dict[str, tuple[int, dict[str, Any]]] = {
    "SmolLM2-135M": (30, dict(zip(_SIZES, (49152, 576, 1536, 9, 3), strict=True)) | {"tie_word_embeddings": True}),
    "Llama-3.2-1B": (
        16,
        dict(zip(_SIZES, (128256, 2048, 8192, 32, 8), strict=True)) | {"tie_word_embeddings": True, "head_dim": 64},
    ),
    "Llama-3.1-8B": (32, dict(zip(_SIZES, (128256, 4096, 14336, 32, 8), strict=True)) | {"rope_parameters": _LLAMA3}),
}
"""Layers and configuration of each model."""
