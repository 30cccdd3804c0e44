"""8-bit weights as pairs of 4-bit ones, so that the 4-bit kernel multiplies them, and no weight is rounded for it."""

import torch

from speculative.models.weight_blocks import BYTE_BLOCK, WeightBlocks

_HIGH = 16  # what a level's upper half is worth


def split_levels(blocks: WeightBlocks) -> WeightBlocks:
    """Return 8-bit blocks as 4-bit ones of twice the width: of each 16 weights the upper halves, then the lower.

    A level is `16 * upper + lower`, upper in -8..7 and lower in 0..15; the kernel reads `(half - 8) * scale + middle`.
    With activations `spread`, a block's two halves add up to its weights where 17 middles and -8 scales, from the
    lower halves, are the minimum.
    """
    levels = blocks.levels.view(*blocks.scales.shape, BYTE_BLOCK)
    halves = torch.stack([(levels >> 4) + 8, levels & 15], dim=2).to(torch.uint8)
    middles = (blocks.minimums + 8 * blocks.scales) / (_HIGH + 1)
    return WeightBlocks(halves.flatten(1), blocks.scales, middles - 8 * blocks.scales)


def spread(x: torch.Tensor) -> torch.Tensor:
    """Return the activations that multiply split levels: (n, in) to (n, 2 in), 16 times each for its upper half."""
    blocks = x.view(len(x), -1, 1, BYTE_BLOCK)
    return torch.cat([_HIGH * blocks, blocks], dim=2).flatten(1)
