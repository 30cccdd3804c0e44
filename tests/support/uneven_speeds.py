"""Data on drafts whose mean speedup prefers the arm that is slower by total seconds."""

import numpy as np

from arms import Observation, Reference
from bandits import FullInformationData

ARMS = ("no_draft", "steady", "bursty")
SECONDS = 2.0  # of a text without a draft
STEADY, BURSTY_FAST, BURSTY_SLOW = 1.4, 10.0, 0.9  # speedups; bursty is fast on every fifth text


def uneven_speeds(n: int, first: int = 0) -> FullInformationData:
    """n queries whose contexts tell nothing: bursty has mean speedup 2.72 and saves 9 % of the time, steady 29 %."""
    rows = [_row(index) for index in range(first, first + n)]
    contexts = np.random.default_rng(first).normal(size=(n, 2)).astype(np.float32)
    seconds = np.array([[observation.seconds for observation in row] for row in rows])
    return FullInformationData(
        contexts,
        SECONDS / seconds,
        ARMS,
        costs=seconds,
        query_ids=tuple(f"line-{index}" for index in range(first, first + n)),
        observations=tuple(rows),
        encoder="made-up",
    )


def _row(index: int) -> tuple[Observation, ...]:
    speedups = (1.0, STEADY, BURSTY_FAST if index % 5 == 0 else BURSTY_SLOW)
    text = f"answer {index}"
    return tuple(
        Observation(arm, f"q{index}", text, 100, SECONDS / speedup, reference=Reference(text, SECONDS, 100))
        for arm, speedup in zip(ARMS, speedups, strict=True)
    )
