"""A rule of one's own between the target's logits and the token that is picked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch


class LogitsProcessor(ABC):
    """Changes the target's logits at one position.

    It is asked about positions in any order and more than once: while drafts help, several positions of one text are
    judged in one round and some of them again in the next. So it is a function of its arguments alone.
    `speculative.testing.check_logits_processor` tests that.
    """

    @abstractmethod
    def process(self, prefix: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Return the logits to go on with.

        Args:
            prefix: all tokens before the position, the prompt's too.
            logits: (v,) float32, -inf where a token is excluded; a copy that may be changed.

        Returns:
            (v,) float, -inf where a token is excluded, no NaN, not all -inf.
        """
