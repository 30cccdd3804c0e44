"""What is seen of a prompt at a glance: how long it is, how repetitive, how much of it is code or digits."""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import numpy.typing as npt

TEXT_FEATURES = ("prompt length", "self-similarity", "code share", "digit share")
"""Names of the features, in order."""
STATE_MARK = "hidden_state:"
"""How the mark of data begins whose contexts are a target's states with these features after them."""
_NGRAM = 3
_CODE = frozenset('{}[]()<>=;_*/\\|&^%$#@+`"~')


def state_parts(n_states: int) -> dict[str, range]:
    """Return the columns of each part of contexts that hold a target's states and these features.

    Args:
        n_states: size of a hidden state.
    """
    sizes = {"hidden mean": n_states, "last hidden state": n_states, **dict.fromkeys(TEXT_FEATURES, 1)}
    ends = accumulate(sizes.values())
    return {part: range(end - size, end) for (part, size), end in zip(sizes.items(), ends, strict=True)}


def text_features(text: str, token_ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return the four features of a prompt, (4,) float32.

        prompt length:    ln(tokens) / 10
        self-similarity:  share of the prompt's token 3-grams that stand in it before
        code share:       share of characters that code is full of, such as brackets
        digit share:      share of characters that are digits

    Cost: one walk over the characters and one over the tokens; no pass of a model.

    Args:
        text: the prompt's, without what a chat template puts around it.
        token_ids: of the prompt, at least one.
    """
    grams = [tuple(token_ids[i : i + _NGRAM]) for i in range(len(token_ids) - _NGRAM + 1)]
    repeated = 1 - len(set(grams)) / len(grams) if grams else 0.0
    n = max(1, len(text))
    code, digits = sum(map(_CODE.__contains__, text)) / n, sum(map(str.isdigit, text)) / n
    return np.array([math.log(len(token_ids)) / 10, repeated, code, digits], dtype=np.float32)
