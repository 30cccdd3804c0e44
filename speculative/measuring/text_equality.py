"""When two texts of one target count as equal: identical, or parted at a tie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from speculative.protocols.causal_lm import CausalLM
from speculative.protocols.token_batch import TokenBatch

TIE = 1e-4  # logits closer than this, float32, may swap with the shape of a pass


@dataclass(frozen=True, slots=True)
class TextEquality:
    """How two token sequences compare.

    Attributes:
        kind: "identical"; "tie" where the target's two best logits at the first difference lie within 1e-4;
            else "different".
        position: index of the first difference, None when identical.
        gap: difference of the two best logits there.
    """

    kind: Literal["identical", "tie", "different"]
    position: int | None = None
    gap: float | None = None


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
    is_tie = gap <= TIE and parted == set(best.indices.tolist())
    return TextEquality("tie" if is_tie else "different", position, gap)
