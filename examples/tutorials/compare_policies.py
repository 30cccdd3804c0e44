"""Compare policies: fit each to the same bandit feedback, score all on queries they were not trained on.

Handwritten digits are the queries and the ten digits the arms; naming the right digit is worth 1. A uniform
logging policy tried one arm a query, so a policy learns from what was tried only. Because the right answer is
known, values are exact.

    python examples/tutorials/compare_policies.py            # all rows, with Reinforce where torch is installed
    python examples/tutorials/compare_policies.py --smoke    # a quick run
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence

import numpy as np

from bandits import (
    ComparisonSettings,
    EpsilonGreedy,
    FullInformationData,
    LinTS,
    LinUCB,
    Policy,
    Reinforce,
    Uniform,
    compare,
)
from bandits.evaluation import Comparison


def digits(n_rows: int, rng: np.random.Generator) -> FullInformationData:
    """Return digit images as contexts: sklearn's if installed, else noisy copies of ten images."""
    if importlib.util.find_spec("sklearn"):
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
    else:
        labels = rng.integers(10, size=1797)
        images = rng.uniform(0, 16, size=(10, 64))[labels] + rng.normal(0, 6, size=(1797, 64))
    rows = rng.permutation(len(images))[:n_rows]
    contexts = images[rows] / np.linalg.norm(images[rows], axis=1, keepdims=True)
    rewards = (labels[rows, None] == np.arange(10)).astype(float)
    return FullInformationData(contexts, rewards, tuple(f"digit_{i}" for i in range(10)))


# --8<-- [start:compare]
def compare_on(data: FullInformationData, seeds: Sequence[int], with_reinforce: bool) -> Comparison:
    """Fit every policy to what a uniform one logged on part of the queries and score it on the others."""
    policies: dict[str, Policy] = {
        "epsilon-greedy ridge": EpsilonGreedy(LinUCB(ucb_width=0.0), epsilon=0.1),
        "LinUCB": LinUCB(ucb_width=0.1),
        "LinTS": LinTS(),
        "uniform": Uniform(),
    }
    if with_reinforce:
        policies["Reinforce"] = Reinforce()
    settings = ComparisonSettings(logging_policy=Uniform(), baseline="best fixed arm")
    return compare(policies, data, seeds, settings=settings)


# --8<-- [end:compare]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="few rows, no Reinforce: a few seconds")
    parser.add_argument("--seed", type=int, default=0, help="of the data; divisions have seeds of their own")
    options = parser.parse_args(arguments)
    with_reinforce = not options.smoke and importlib.util.find_spec("torch") is not None
    data = digits(300 if options.smoke else 1797, np.random.default_rng(options.seed))
    result = compare_on(data, range(2 if options.smoke else 5), with_reinforce)
    print(result.to_text())
    print(f"best on held-out queries: {result.best}, right on {result[result.best].value:.0%} of them")


if __name__ == "__main__":
    main()
