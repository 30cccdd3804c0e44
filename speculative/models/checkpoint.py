"""A checkpoint's tensors by name, each checked before it is put where a decoder wants it."""

from collections.abc import Mapping

import torch

from speculative.models.fingerprint import is_finite, sample_digest
from speculative.models.weight_blocks import Matrix, WeightBlocks
from speculative.models.weight_files import WeightFiles

FLOATS = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
_NEVER_USED = "rotary_emb.inv_freq"  # a table that old checkpoints keep; it follows from the configuration


class Checkpoint:
    """Tensors by transformers' names, `model.` left out; projections in blocks where it has them.

    Args:
        weights: dense tensors by name.
        blocks: projections, and the head, in blocks by name; each takes the place of a dense one.
        device: of all that is asked for.
        dtype: of every dense tensor that is asked for.

    Attributes:
        digests: of every tensor that was asked for, by name.

    Raises:
        ValueError: if two tensors differ by the prefix `model.` only.
    """

    def __init__(
        self,
        weights: Mapping[str, torch.Tensor],
        blocks: Mapping[str, WeightBlocks],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self._weights, self._blocks = weights, blocks
        self._names = _short_names(weights)
        self._block_names = _short_names(blocks)
        self._device, self._dtype = device, dtype
        self.digests: dict[str, str] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def in_blocks(self, name: str) -> bool:
        """Whether a projection's or the head's weight is there in blocks."""
        return name in self._block_names

    def tensor(self, name: str, shape: tuple[int, ...]) -> torch.Tensor:
        """Return a dense tensor.

        Raises:
            ValueError: if there is none of that name, its shape is another, or it does not hold finite floats.
        """
        if name not in self._names:
            raise ValueError(f"the checkpoint lacks the tensor {name!r}; it is incomplete")
        found = self._weights[self._names[name]]
        if tuple(found.shape) != shape:
            raise ValueError(
                f"the tensor {name!r} must have the shape {shape} by config.json, got {tuple(found.shape)}"
            )
        if found.dtype not in FLOATS:
            raise ValueError(
                f"the tensor {name!r} must hold floats of 16 to 64 bits, got {found.dtype}; if it is quantised, "
                "config.json must say how"
            )
        self._keep_digest(name, found)
        held = found.to(self._device, self._dtype)
        if not is_finite(held):
            raise ValueError(f"the tensor {name!r} holds NaN or infinity as {held.dtype}; the checkpoint is damaged")
        if held is not found or not isinstance(self._weights, WeightFiles):
            return held
        return self._weights[self._names[name]]  # mapped anew: the pages that were read go back

    def matrix(self, name: str, shape: tuple[int, int]) -> Matrix:
        """Return a projection's weight, or the head's.

        Raises:
            ValueError: as `tensor` does.
        """
        weight = f"{name}.weight"
        if weight not in self._block_names:
            return self.tensor(weight, shape)
        block = self._blocks[self._block_names[weight]]
        if tuple(block.shape) != shape:
            raise ValueError(
                f"the blocks of {weight!r} must have the shape {shape} by config.json, got {tuple(block.shape)}"
            )
        for part_name, part in zip(("levels", "scales", "minimums"), block.parts, strict=True):
            self._keep_digest(f"{weight}.{part_name}", part)
            if part.is_floating_point() and not is_finite(part):
                raise ValueError(f"the blocks of {weight!r} hold NaN or infinity; the checkpoint is damaged")
        return block.to(self._device)

    def check_all_used(self) -> None:
        """Refuse a checkpoint that holds more than was asked for.

        Raises:
            ValueError: if a tensor was never asked for.
        """
        asked = {*self.digests, *(name.rpartition(".")[0] for name in self.digests)}
        names = {*self._names, *self._block_names}
        unused = sorted(name for name in names - asked if not name.endswith(_NEVER_USED))
        if unused:
            raise ValueError(
                f"the checkpoint holds the tensor {unused[0]!r} and {len(unused) - 1} more that config.json has no "
                "place for; correct config.json or name another checkpoint"
            )

    def _keep_digest(self, name: str, tensor: torch.Tensor) -> None:
        try:
            self.digests[name] = sample_digest(tensor)
        except ValueError as error:
            raise ValueError(f"the tensor {name!r} {error}; the checkpoint is damaged") from error


def _short_names(held: Mapping[str, object]) -> dict[str, str]:
    """Return each tensor's full name by its name without `model.`."""
    short: dict[str, str] = {}
    for name in held:
        known = short.setdefault(name.removeprefix("model."), name)
        if known != name:
            raise ValueError(f"the checkpoint holds both {known!r} and {name!r}; remove one")
    return short
