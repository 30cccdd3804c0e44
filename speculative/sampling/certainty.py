"""How sure a model is of the token to come, as its logits say."""

from typing import NamedTuple

import torch


class Certainty(NamedTuple):
    """Two numbers of one row of logits.

    Attributes:
        margin: by how much the largest logit is above the second largest one.
        entropy: of the distribution, nats.
    """

    margin: float
    entropy: float

    @classmethod
    def of(cls, logits: torch.Tensor) -> "Certainty":
        """Compute both from (v,) logits."""
        first, second = logits.topk(2).values.tolist()
        logprobs = logits.float().log_softmax(0)
        entropy = -float((logprobs.exp() * logprobs.clamp_min(torch.finfo(torch.float32).min)).sum())
        return cls(first - second, entropy)
