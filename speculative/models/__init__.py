"""How a causal LM is loaded and computed: checkpoints, decoder, attention, 4-bit weights."""

from speculative.models.settings import ModelSettings

__all__ = ["ModelSettings"]
