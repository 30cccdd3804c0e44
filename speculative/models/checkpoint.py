"""A checkpoint's tensors by name, put where a decoder wants them."""

from collections.abc import Mapping

import torch

from speculative.models.weight_blocks import Matrix, WeightBlocks


class Checkpoint:
    """Tensors by transformers' names, `model.` left out; projections in blocks of 4 bits where it has them.

    Args:
        weights: dense tensors by name.
        blocks: projections at 4 bits by name; each takes the place of a dense one.
        device: of every dense tensor that is asked for.
        dtype: of every dense tensor that is asked for.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        blocks: Mapping[str, WeightBlocks],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._weights = {name.removeprefix("model."): tensor for name, tensor in weights.items()}
        self._blocks = {name.removeprefix("model."): block for name, block in blocks.items()}
        self._device, self._dtype = device, dtype

    def __contains__(self, name: str) -> bool:
        return name in self._weights

    def tensor(self, name: str) -> torch.Tensor:
        """Return a dense tensor.

        Raises:
            KeyError: if there is none of that name.
        """
        return self._weights[name].to(self._device, self._dtype)

    def matrix(self, name: str) -> Matrix:
        """Return a projection's weight.

        Raises:
            KeyError: if there is no projection of that name.
        """
        block = self._blocks.get(f"{name}.weight")
        return self.tensor(f"{name}.weight") if block is None else block

    def bias(self, name: str) -> torch.Tensor | None:
        """Return a projection's bias, where it has one."""
        return self.tensor(f"{name}.bias") if f"{name}.bias" in self else None
