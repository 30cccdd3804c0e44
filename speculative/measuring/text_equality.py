"""When two texts of one target count as equal: identical, or parted at a tie."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch

TIE = 1e-4  # float32 logits closer than this may swap with the shape of a pass


@dataclass(frozen=True, slots=True)
class TextEquality:
    """How two token sequences compare.

    Attributes:
        kind: "identical"; "tie" where the target's two best logits at the first difference lie within the
            `tie_bound` of its dtype; else "different".
        position: index of the first difference, None when identical.
        gap: difference of the two best logits there.
    """

    kind: Literal["identical", "tie", "different"]
    position: int | None = None
    gap: float | None = None


def tie_bound(dtype: torch.dtype, logit: float) -> float:
    """How far apart two logits may be that the shape of a pass may swap.

    1e-4 in float32. In half precision, whose activations round more, one spacing of the dtype at the logits' size,
    though the logits themselves are float32.

    Args:
        dtype: of the model's activations.
        logit: the larger of the two.
    """
    if dtype in (torch.float32, torch.float64) or logit == 0:
        return TIE
    return max(TIE, torch.finfo(dtype).eps * 2.0 ** math.floor(math.log2(abs(logit))))


def compare_texts(
    model: CausalLM, prompt_ids: Sequence[int], first: Sequence[int], second: Sequence[int]
) -> TextEquality:
    """Compare two greedy texts of `model` on one prompt; logits are computed anew only where they part."""
    if list(first) == list(second):
        return TextEquality("identical")
    pairs = zip(first, second, strict=False)
    position = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))
    prefix = torch.tensor([*prompt_ids, *first[:position]], device=model.device)
    output = model.forward(TokenBatch(prefix, [len(prefix)]), model.new_cache(1, len(prefix)), [len(prefix) - 1])
    best = output.logits[0].float().topk(2)
    gap = float(best.values[0] - best.values[1])
    parted = {*first[position : position + 1], *second[position : position + 1]}
    is_tie = gap <= tie_bound(model.dtype, float(best.values[0])) and parted == set(best.indices.tolist())
    return TextEquality("tie" if is_tie else "different", position, gap)
