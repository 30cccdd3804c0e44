"""The weights of GGUF files at 4 to 8 bits, taken over as they are: no weight is rounded again."""

from collections.abc import Callable

import numpy as np
import torch

from speculative.models.gguf_file import Bytes, GgufTensor
from speculative.models.weight_blocks import BLOCK, BYTE_BLOCK, LEVELS, WeightBlocks

_SUPER = 8  # blocks of 32 in a super-block of the K types
_SHIFT = 8  # added to levels that lie around zero: so the 4-bit kernel's constants for their halves need no rounding


def read_blocks(tensor: GgufTensor) -> WeightBlocks:
    """Return a matrix of one of the `EXACT_KINDS` in blocks, of 8 bits where the file has more than 4.

    Raises:
        KeyError: if it is of another kind.
    """
    return _READERS[tensor.kind](tensor.data)


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
    """Read (out, bytes) of super-blocks: factors and 6-bit constants in 16 bytes, 128 bytes of levels.

    Source: ggml, `block_q4_K` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 4 + 12 + _SUPER * BLOCK // 2)
    levels = _split_bytes(blocks[..., 16:].reshape(len(data), -1, BLOCK))
    return WeightBlocks(levels, *_k_constants(blocks[..., :16]))


def _read_q5_0(data: Bytes) -> WeightBlocks:
    """Read (out, bytes): float16 scale, the fifth bits of 32 levels, 16 bytes; levels stand for -16..15.

    Source: ggml, `block_q5_0` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 2 + 4 + BLOCK // 2)
    levels = _split_bytes(blocks[..., 6:]) | _bits(blocks[..., 2:6]) << 4
    return _around_zero(levels.to(torch.int8) - 16, _halves(blocks[..., :2])[..., 0].repeat_interleave(2, 1))


def _read_q5_1(data: Bytes) -> WeightBlocks:
    """Read (out, bytes): float16 scale, float16 minimum, the fifth bits of 32 levels, 16 bytes.

    Source: ggml, `block_q5_1` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 4 + 4 + BLOCK // 2)
    levels = _split_bytes(blocks[..., 8:]) | _bits(blocks[..., 4:8]) << 4
    constants = _halves(blocks[..., :4]).repeat_interleave(2, 1)
    return WeightBlocks(levels.to(torch.int8), constants[..., 0].contiguous(), constants[..., 1].contiguous())


def _read_q5_k(data: Bytes) -> WeightBlocks:
    """Read (out, bytes) of super-blocks: constants in 16 bytes as Q4_K's, 32 bytes of fifth bits, 128 of levels.

    Bit i of the j-th byte is the fifth of the j-th level in the i-th block.

    Source: ggml, `block_q5_K` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 4 + 12 + BLOCK + _SUPER * BLOCK // 2)
    low = _split_bytes(blocks[..., 48:].reshape(len(data), -1, BLOCK))
    fifth = torch.from_numpy(blocks[..., None, 16:48].copy()) >> torch.arange(_SUPER, dtype=torch.uint8)[:, None] & 1
    scales, minimums = (part.repeat_interleave(2, 1) for part in _k_constants(blocks[..., :16]))
    return WeightBlocks((low | fifth.flatten(1) << 4).to(torch.int8), scales, minimums)


def _read_q6_k(data: Bytes) -> WeightBlocks:
    """Read (out, bytes) of super-blocks: 128 bytes of low halves, 64 of upper bits, 16 int8 scales, float16 factor.

    Each half of a super-block holds four runs of 32 levels, which stand for -32..31: the l-th of each run shares its
    upper bits' byte, and two runs share their low halves' bytes.

    Source: ggml, `block_q6_K` in ggml-common.h and `dequantize_row_q6_K` in ggml-quants.c.
    """
    blocks = data.reshape(len(data), -1, 210)
    low = torch.from_numpy(blocks[..., :128].copy()).view(*blocks.shape[:2], 2, 2, BLOCK)
    low = torch.cat([low & 15, low >> 4], dim=3)
    high = torch.from_numpy(blocks[..., 128:192].copy()).view(*blocks.shape[:2], 2, 1, BLOCK)
    high = high >> (2 * torch.arange(4, dtype=torch.uint8))[:, None] & 3
    levels = (low | high << 4).flatten(1).to(torch.int8) - 32
    scales = torch.from_numpy(blocks[..., 192:208].view(np.int8).astype(np.float32))
    return _around_zero(levels, (_halves(blocks[..., 208:]) * scales).flatten(1))


def _read_q8_0(data: Bytes) -> WeightBlocks:
    """Read (out, bytes): float16 scale, 32 int8 levels.

    Source: ggml, `block_q8_0` in ggml-common.h.
    """
    blocks = data.reshape(len(data), -1, 2 + BLOCK)
    levels = torch.from_numpy(blocks[..., 2:].view(np.int8).reshape(len(data), -1).copy())
    scales = _halves(blocks[..., :2])[..., 0].repeat_interleave(BLOCK // BYTE_BLOCK, 1)
    return WeightBlocks(levels, scales, torch.zeros_like(scales))


_READERS: dict[str, Callable[[Bytes], WeightBlocks]] = {
    "Q4_0": _read_q4_0,
    "Q4_1": _read_q4_1,
    "Q4_K": _read_q4_k,
    "Q5_0": _read_q5_0,
    "Q5_1": _read_q5_1,
    "Q5_K": _read_q5_k,
    "Q6_K": _read_q6_k,
    "Q8_0": _read_q8_0,
}
EXACT_KINDS = tuple(_READERS)


def _k_constants(raw: Bytes) -> tuple[torch.Tensor, torch.Tensor]:
    """Read (out, n, 16) bytes: two float16 factors, eight 6-bit scales and minimums in 12; (out, 8 n) of each.

    A block's scale is the first factor times its 6-bit scale, its minimum minus the second times its 6-bit minimum.

    Source: ggml, `get_scale_min_k4` in ggml-quants.c.
    """
    factors = _halves(raw[..., :4])
    low, high, mixed = (torch.from_numpy(raw[..., 4 + i : 8 + i].copy()) for i in (0, 4, 8))
    scales = torch.cat([low & 63, mixed & 15 | low >> 6 << 4], dim=-1)
    minimums = torch.cat([high & 63, mixed >> 4 | high >> 6 << 4], dim=-1)
    return (factors[..., :1] * scales).flatten(1), -(factors[..., 1:] * minimums).flatten(1)


def _around_zero(levels: torch.Tensor, scales: torch.Tensor) -> WeightBlocks:
    """Return a matrix of `levels * scales`."""
    return WeightBlocks(levels + _SHIFT, scales, -_SHIFT * scales)


def _halves(raw: Bytes) -> torch.Tensor:
    """Read float16 numbers along the last axis, as float32."""
    return torch.from_numpy(np.ascontiguousarray(raw).view(np.float16).astype(np.float32))


def _bits(raw: Bytes) -> torch.Tensor:
    """Read the bits of (out, n, 4) bytes, the first byte's lowest first: (out, 32 n) of 0 and 1."""
    return torch.from_numpy(np.unpackbits(np.ascontiguousarray(raw), axis=-1, bitorder="little")).flatten(1)


def _split_bytes(raw: Bytes) -> torch.Tensor:
    """Read the levels of (out, n, bytes): along the last axis first all low halves, then all high ones."""
    pairs = torch.from_numpy(np.ascontiguousarray(raw))
    return torch.cat([pairs & (LEVELS - 1), pairs >> 4], dim=-1).flatten(1)
