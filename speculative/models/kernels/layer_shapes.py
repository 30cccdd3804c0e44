"""The matrices that a decoder's layers multiply by: what a measurement of kernels needs of a model."""

from dataclasses import dataclass

import torch

from speculative.models.config import DecoderConfig


@dataclass(frozen=True, slots=True)
class LayerShapes:
    """Sizes of the products of one layer, all layers alike.

    Attributes:
        matrices: (out_features, in_features) of each, in the order that a pass multiplies.
        n_layers: of the model.
        n_features: width of the normalised rows.
        n_heads: heads whose pairs are rotated, of queries and keys.
        head_dim: features of a head.
    """

    matrices: tuple[tuple[int, int], ...]
    n_layers: int
    n_features: int
    n_heads: int
    head_dim: int

    @classmethod
    def of(cls, config: DecoderConfig) -> "LayerShapes":
        """Return the shapes of a configuration."""
        d, m, heads = config.n_features, config.n_intermediate, config.n_heads * config.head_dim
        qkv = heads + 2 * config.n_kv_heads * config.head_dim
        n_rotated = config.n_heads + config.n_kv_heads
        return cls(((qkv, d), (d, heads), (m, d), (m, d), (d, m)), config.n_layers, d, n_rotated, config.head_dim)

    @property
    def n_weights(self) -> int:
        """Weights of one layer."""
        return sum(n_out * n_in for n_out, n_in in self.matrices)

    @property
    def fits_blocks(self) -> bool:
        """Whether 4-bit blocks of 32 hold every matrix."""
        return all(n_in % 32 == 0 for _, n_in in self.matrices)

    def weights(self, dtype: torch.dtype) -> list[torch.Tensor]:
        """Make one layer's matrices; what they hold does not change what a product takes."""
        return [torch.full(shape, 0.01, dtype=dtype) for shape in self.matrices]
