"""An encoder of a user's own, to be named by its path."""

from collections.abc import Sequence

import numpy as np

from bandits import ContextEncoder
from bandits.checks import Float32


class WordCount(ContextEncoder):
    """One feature: how many words there are."""

    name = "word-count"
    n_features = 1

    def encode(self, texts: Sequence[str]) -> Float32:
        return np.array([[len(text.split())] for text in texts], dtype=np.float32).reshape(-1, 1)
