"""How sure the target was of each token that it wrote, noted from the passes that wrote them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from speculative.sampling.certainty import Certainty
from speculative.sampling.logits_processor import LogitsProcessor


class CertaintyRecorder(LogitsProcessor):
    """Passes the logits on unchanged, and keeps margin and entropy of each position.

    Args:
        n_prompt: tokens of the prompt of the one request that it is for.
    """

    def __init__(self, n_prompt: int) -> None:
        self._n_prompt = n_prompt
        self._found: dict[int, Certainty] = {}

    def process(self, prefix: Sequence[int], logits: torch.Tensor) -> torch.Tensor:
        """Note what the logits say of the token to come."""
        self._found[len(prefix) - self._n_prompt] = Certainty.of(logits)
        return logits

    def margins_and_entropies(self, n_new: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return both for the first `n_new` new tokens, (n_new,) float32 each."""
        rows = np.array([self._found[j] for j in range(n_new)], dtype=np.float32).reshape(-1, 2)
        return rows[:, 0].copy(), rows[:, 1].copy()
