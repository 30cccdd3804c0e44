"""How often `ResetOnDrift` forgets an arm that did not move, and how soon one that did."""

from collections.abc import Callable, Mapping

import numpy as np

from bandits import BestFixedArm, FullInformationData
from bandits.policies import ResetOnDrift

THRESHOLDS = (10.0, 20.0, 40.0)
MOVES = (0.5, 1.0, 2.0)

KINDS: Mapping[str, Callable[[np.random.Generator, tuple[int, int]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails (Student t, 3)": lambda rng, shape: rng.standard_t(3, size=shape) / np.sqrt(3.0),
    "0 or 1, mean 0.2": lambda rng, shape: (rng.random(shape) < 0.2) / 0.4,
}
"""Rewards of standard deviation 1 and fixed mean."""


def measure_detector(n_arms: int, n_rows: int, seed: int) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return, by kind of reward and threshold, resets per 1,000 rewards, and the median delay after each move.

    Args:
        n_arms: each is a stream of its own.
        n_rows: rewards of each; the move comes at half-time.
        seed: of the rewards.
    """
    result: dict[str, dict[str, dict[str, float | None]]] = {}
    for kind, draw in KINDS.items():
        rewards = draw(np.random.default_rng(seed), (n_rows, n_arms))
        result[kind] = {}
        for threshold in THRESHOLDS:
            alarms = sum(len(rows) for rows in _resets(rewards, threshold))
            figures: dict[str, float | None] = {"false_per_1000": 1000.0 * alarms / rewards.size}
            for move in MOVES:
                moved = rewards - move * (np.arange(n_rows) >= n_rows // 2)[:, None]
                after = [[row for row in rows if row >= n_rows // 2] for rows in _resets(moved, threshold)]
                delays = sorted(rows[0] - n_rows // 2 + 1 if rows else n_rows for rows in after)
                median = delays[n_arms // 2]
                figures[f"delay_of_{move}"] = median if median < n_rows else None
            result[kind][f"{threshold:g}"] = figures
    return result


def _resets(rewards: np.ndarray, threshold: float) -> list[list[int]]:
    """Return, for each arm, the rows at which it was reset."""
    n_rows, n_arms = rewards.shape
    names = tuple(f"arm_{arm}" for arm in range(n_arms))
    contexts = np.zeros((1, 1), np.float32)
    policy = ResetOnDrift(BestFixedArm(), threshold=threshold)
    policy.start(names, 1)
    resets: list[list[int]] = [[] for _ in names]
    before = np.zeros(n_arms)
    for row in range(n_rows):
        policy.update(FullInformationData(contexts, rewards[row : row + 1], names))
        counts = policy.learned.per_arm["drift_resets"]
        for arm in np.flatnonzero(counts > before).tolist():
            resets[arm].append(row)
        before = counts
    return resets
