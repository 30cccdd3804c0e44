"""Queries of which every arm's seconds are known, so that serving them can be simulated exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandits import FullInformationData

ARM_NAMES = ("no_draft", "suffix_15", "draft_6", "copy_4_else_draft_3", "copy_4_1_else_none")
N_FEATURES = 16
DOMAINS = ("chat", "edit", "humaneval", "math", "mbpp", "qa", "rag", "summarization", "translation")


@dataclass(frozen=True, eq=False)
class Queries:
    """m queries, and what each of k arms takes for each.

    Attributes:
        contexts: (m, d) float32.
        seconds: (m, k) float64.
        tokens: (m,) float64, generated.
        domains: (m,) of text.
        arm_names: k.
        text: what they are, for the report.
    """

    contexts: np.ndarray
    seconds: np.ndarray
    tokens: np.ndarray
    domains: np.ndarray
    arm_names: tuple[str, ...]
    text: str

    @property
    def slowest(self) -> float:
        """Seconds a token that count as the worst, as `draftpick serve` sets it: 4 times the first arm's."""
        return 4.0 * float(self.seconds[:, 0].sum() / self.tokens.sum())


def read_queries(folders: Sequence[Path], text: str) -> Queries:
    """Return the queries of collected folders, their contexts cut down to the directions in which they vary most."""
    data = FullInformationData.concat([FullInformationData.load(folder) for folder in folders])
    columns = [data.arm_names.index(name) for name in ARM_NAMES]
    seen = [[row[column] for column in columns] for row in data.observations]
    centred = data.contexts - data.contexts.mean(axis=0)
    centred /= np.maximum(centred.std(axis=0), 1e-6)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    scores = left[:, :N_FEATURES] * values[:N_FEATURES]
    scores /= np.sqrt((scores**2).sum(axis=1).mean())  # of about unit length
    return Queries(
        contexts=scores.astype(np.float32),
        seconds=np.array([[float(one.seconds) for one in row] for row in seen]),
        tokens=np.array([float(row[0].n_tokens) for row in seen]),
        domains=np.array(data.domains),
        arm_names=ARM_NAMES,
        text=text,
    )


def made_up_queries(n: int = 90, seed: int = 0) -> Queries:
    """Return queries with seconds drawn for each domain and arm, where nothing was collected."""
    rng = np.random.default_rng(seed)
    domains = np.arange(n) % len(DOMAINS)
    centres = rng.normal(size=(len(DOMAINS), N_FEATURES)) / np.sqrt(N_FEATURES)
    speeds = rng.uniform(0.4, 1.0, size=(len(DOMAINS), len(ARM_NAMES)))
    speeds[:, 0] = 1.0
    tokens = rng.integers(50, 200, size=n).astype(float)
    noise = rng.lognormal(sigma=0.1, size=(n, len(ARM_NAMES)))
    return Queries(
        contexts=(centres[domains] + 0.1 * rng.normal(size=(n, N_FEATURES))).astype(np.float32),
        seconds=0.03 * tokens[:, None] * speeds[domains] * noise,
        tokens=tokens,
        domains=np.array(DOMAINS)[domains],
        arm_names=ARM_NAMES,
        text="made up",
    )
