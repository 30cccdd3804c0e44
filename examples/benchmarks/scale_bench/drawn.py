"""Logs that are drawn: normal features, rewards linear in them, arms chosen by uneven probabilities."""

from pathlib import Path

import numpy as np

from bandits import LoggedData

PART_ROWS = 250_000
_EXPLORED = 0.5  # of the logging policy's probability; the rest lies on one arm by the first feature


def drawn_log(n: int, d: int, k: int, seed: int = 0, model: int = 0) -> LoggedData:
    """Return n decisions among k arms; rewards are linear in d features, with noise.

    Args:
        n: rows.
        d: features.
        k: arms.
        seed: of the rows.
        model: seed of the arms' coefficients: logs of one model are parts of one log.
    """
    rng = np.random.default_rng((seed, 1))
    coefficients = np.random.default_rng((model, 2)).standard_normal((k, d), dtype=np.float32)
    contexts = rng.standard_normal((n, d), dtype=np.float32)
    contexts /= np.float32(np.sqrt(d))
    preferred = np.floor(np.clip(contexts[:, 0] * np.sqrt(d) / 6 + 0.5, 0, 0.999) * k).astype(np.int64)
    actions = np.where(rng.random(n) < _EXPLORED, rng.integers(k, size=n), preferred)
    rewards = rng.normal(scale=0.5, size=n)
    rewards += np.einsum("nd,nd->n", contexts, coefficients[actions])
    propensities = np.where(actions == preferred, 1 - _EXPLORED, 0.0) + _EXPLORED / k
    return LoggedData(contexts, actions, rewards, propensities, [f"arm_{arm}" for arm in range(k)])


def write_log(folder: Path, n: int, d: int, k: int) -> None:
    """Write n rows as Parquet parts of a closed folder, never more than a part in memory."""
    for part, start in enumerate(range(0, n, PART_ROWS)):
        drawn_log(min(PART_ROWS, n - start), d, k, seed=part + 1).write_part(folder, part)
    LoggedData.close_folder(folder)
