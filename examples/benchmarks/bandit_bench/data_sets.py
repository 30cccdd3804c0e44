"""Full-information data to draw bandit feedback from: two supervised sets, and logs of LLM calls."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bandits import FullInformationData, HashingEncoder, LoggedData, SeedTree, Uniform, from_long_table
from bandits.simulation.environments import SupervisedEnvironment

LOGS = ("paretobandit_k4", "llmrouter", "routellm_gsm8k", "openai_gsm8k_solutions")
SYNTHETIC = "covertype-like"


def digits() -> FullInformationData:
    """Return scikit-learn's handwritten digits, 64 pixels, 10 classes."""
    from sklearn.datasets import load_digits

    return _supervised(*load_digits(return_X_y=True))


def covertype_like(n_rows: int) -> FullInformationData:
    """Return a made-up set of covertype's shape: 54 features, 7 classes, a tenth of the labels wrong."""
    from sklearn.datasets import make_classification

    features, labels = make_classification(
        n_rows, n_features=54, n_informative=20, n_redundant=10, n_classes=7, flip_y=0.1, random_state=7
    )
    return _supervised((features - features.mean(axis=0)) / features.std(axis=0), labels)


def read_log(path: Path) -> FullInformationData:
    """Return a log's queries as 384 hashed words and pairs of words, with every arm's reward."""
    data = from_long_table(path, encoder=HashingEncoder(384))
    if not isinstance(data, FullInformationData):
        raise ValueError(f"{path} must hold every arm's reward, got decisions of a logging policy")
    return data.complete_rows()


def data_sets(logs: Path | None, n_rows: int | None = None) -> dict[str, FullInformationData]:
    """Return all sets by name, at most `n_rows` rows of each; without a folder of logs, the supervised sets."""
    found = {"digits": digits(), SYNTHETIC: covertype_like(n_rows or 6_000)}
    found |= {} if logs is None else {name: read_log(logs / f"{name}.parquet") for name in LOGS}
    if n_rows is not None:
        found = {name: data.subset(np.arange(min(n_rows, len(data)))) for name, data in found.items()}
    return found


def split(data: FullInformationData, seed: int) -> tuple[FullInformationData, LoggedData, FullInformationData]:
    """Return a random half, what a uniform policy logs on it, and the other half."""
    tree = SeedTree(seed)
    order = tree.rng("split").permutation(len(data))
    train, test = data.subset(order[: len(order) // 2]), data.subset(order[len(order) // 2 :])
    return train, train.log_with(Uniform(train.arm_names), tree.rng("log")), test


def _supervised(features: np.ndarray, labels: np.ndarray) -> FullInformationData:
    return SupervisedEnvironment(features / np.linalg.norm(features, axis=1, keepdims=True), classes=labels).data
