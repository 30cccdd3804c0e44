"""Compare policies on a log: fit each to the same bandit feedback, score all on held-out queries.

Handwritten digits are the queries and the ten digits the arms; naming the right digit is worth 1. A uniform
logging policy tried one arm a query, so a policy learns from what was tried only. Because the right answer is
known, held-out values are exact.

    python examples/compare_policies.py            # all rows, with Reinforce where torch is installed
    python examples/compare_policies.py --smoke    # a quick run
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Sequence

import numpy as np

from bandits import (
    BestFixedArm,
    EpsilonGreedy,
    Evaluation,
    FullInformationData,
    LinTS,
    LinUCB,
    Policy,
    Reinforce,
    Uniform,
    choose_prior_precision,
    evaluate,
)


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
def compare(n_rows: int, n_bootstrap: int, seed: int, with_reinforce: bool) -> Evaluation:
    """Fit every policy to the log of a uniform one and evaluate on the other half of the queries."""
    data_rng, log_rng = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    data = digits(n_rows, data_rng)
    train, test = data.subset(np.arange(0, len(data), 2)), data.subset(np.arange(1, len(data), 2))
    log = train.log_with(Uniform(), log_rng)
    precision = choose_prior_precision(log)
    policies: dict[str, Policy] = {
        "uniform": Uniform(),
        "best fixed arm": BestFixedArm(),
        "epsilon-greedy ridge": EpsilonGreedy(LinUCB(ucb_width=0.0, prior_precision=precision), epsilon=0.1),
        "LinUCB": LinUCB(ucb_width=0.1, prior_precision=precision),
        "LinTS": LinTS(prior_precision=precision),
    }
    if with_reinforce:
        policies["Reinforce"] = Reinforce(seed=seed)
        policies["Reinforce, all rewards shown"] = Reinforce(seed=seed)
    for name, policy in policies.items():
        policy.fit(train if name.endswith("shown") else log)
    return evaluate(policies, test, training_data=train, n_bootstrap=n_bootstrap, seed=seed)


# --8<-- [end:compare]


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="few rows, no Reinforce: a few seconds")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    with_reinforce = not options.smoke and importlib.util.find_spec("torch") is not None
    result = compare(300 if options.smoke else 1797, 100 if options.smoke else 2000, options.seed, with_reinforce)
    print(result.to_text())
    learned = [row for row in result.rows if row.kind == "policy"]
    best = max(learned, key=lambda row: row.value.value)
    print(f"best on held-out queries: {best.name}, right on {best.value.value:.0%} of them")


if __name__ == "__main__":
    main()
