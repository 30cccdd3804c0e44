"""The 4-bit weights of GGUF files, types Q4_0, Q4_1 and Q4_K: taken over as they are, no weight is rounded again."""

import numpy as np
import torch

from speculative.models.gguf_file import Bytes, GgufTensor
from speculative.models.weight_blocks import BLOCK, LEVELS, WeightBlocks

EXACT_KINDS = ("Q4_0", "Q4_1", "Q4_K")
_SUPER = 8  # blocks of a Q4_K super-block


def read_blocks(tensor: GgufTensor) -> WeightBlocks:
    """Return a matrix of one of the `EXACT_KINDS` in blocks.

    Raises:
        KeyError: if it is of another kind.
    """
    readers = {"Q4_0": _read_q4_0, "Q4_1": _read_q4_1, "Q4_K": _read_q4_k}
    return readers[tensor.kind](tensor.data)


def _read_q4_0(data: Bytes) -> WeightBlocks:
    """Read (out, bytes): float16 scale, 16 bytes; levels stand for -8..7.

    Source: ggml, `block_q4_0` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 2 + BLOCK // 2)
    scales = _halves(blocks[..., :2])[..., 0]
    return WeightBlocks(_split_bytes(blocks[..., 2:]), scales, -LEVELS // 2 * scales)


def _read_q4_1(data: Bytes) -> WeightBlocks:
    """Read (out, bytes): float16 scale, float16 minimum, 16 bytes.

    Source: ggml, `block_q4_1` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 4 + BLOCK // 2)
    constants = _halves(blocks[..., :4])
    return WeightBlocks(_split_bytes(blocks[..., 4:]), constants[..., 0].contiguous(), constants[..., 1].contiguous())


def _read_q4_k(data: Bytes) -> WeightBlocks:
    """Read (out, bytes) of super-blocks: two float16 factors, eight 6-bit scales and minimums in 12 bytes, 128 bytes.

    A block's scale is the first factor times its 6-bit scale, its minimum minus the second times its 6-bit minimum.

    Source: ggml, `block_q4_K` in ggml-common.h and `get_scale_min_k4` in ggml-quants.c.
    """
    blocks = data.reshape(len(data), -1, 4 + 12 + _SUPER * BLOCK // 2)
    factors = _halves(blocks[..., :4])
    low, high, mixed = (torch.from_numpy(blocks[..., 4 + i : 8 + i].copy()) for i in (0, 4, 8))
    scales = torch.cat([low & 63, mixed & 15 | low >> 6 << 4], dim=-1)
    minimums = torch.cat([high & 63, mixed >> 4 | high >> 6 << 4], dim=-1)
    return WeightBlocks(
        _split_bytes(blocks[..., 16:].reshape(len(data), -1, BLOCK)),
        (factors[..., :1] * scales).flatten(1),
        -(factors[..., 1:] * minimums).flatten(1),
    )


def _halves(raw: Bytes) -> torch.Tensor:
    """Read float16 numbers along the last axis, as float32."""
    return torch.from_numpy(np.ascontiguousarray(raw).view(np.float16).astype(np.float32))


def _split_bytes(raw: Bytes) -> torch.Tensor:
    """Read the levels of (out, n, bytes): along the last axis first all low halves, then all high ones."""
    pairs = torch.from_numpy(np.ascontiguousarray(raw))
    return torch.cat([pairs & (LEVELS - 1), pairs >> 4], dim=-1).flatten(1)
