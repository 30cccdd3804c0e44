"""Learning curves: how many labelled queries does each policy need?"""

from collections.abc import Sequence

import numpy as np
from paper_parts.choosing import FIXED, choose_s, times_as_fast
from paper_parts.comparison import lines
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

from bandits import FullInformationData
from bandits.checks import Float64
from bandits.policies import make_policy
from bandits.policies.linear.lin_ts import OFFLINE_SCALE
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree

SIZES = (25, 50, 100, 200)
REACHED = 0.99
POLICIES = {
    FIXED: "best_fixed_arm",
    "REINFORCE": "reinforce",
    "LinUCB": "lin_ucb",
    "HybridLinUCB": "hybrid_lin_ucb",
    "DiagonalLinUCB": "diagonal_lin_ucb",
    "LinTS": f"lin_ts(posterior_scale={OFFLINE_SCALE})",
    "SquareCB": "square_cb",
    "KNN": "knn",
    "ridge": "lin_ucb(ucb_width=0.0)",
    "Regression": "regression",
    "BootstrappedTS": "bootstrapped_ts",
    "NeuralLinearTS": "neural_linear_ts",
}
JOINED = "HybridLinUCB"  # a fit inverts a matrix as wide as a context for each arm
WIDEST = 1000  # features of a context that it is fitted on
SHOWN = (FIXED, "REINFORCE", "LinUCB", "LinTS", "KNN", "ridge")


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("learning_curves", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Fit every policy on more and more of the training queries, drawn anew for each seed.

    `JOINED` is left out where contexts are wider than `WIDEST`: its fits would take minutes.
    """
    train, test = (stored.data(side, stored.target.full) for side in ("train", "test"))
    sizes = [n for n in SIZES if n < len(train)] + [len(train)]
    plain = test.costs[:, test.arm_names.index(NO_DRAFT)][None]
    rows: list[dict[str, object]] = []
    drawn = {}
    for name, formula in POLICIES.items():
        if name == JOINED and train.n_features > WIDEST:
            continue
        taken = [np.array([_seconds(formula, train, test, n, seed) for seed in options.seeds]) for n in sizes]
        if name != FIXED:
            taken = [own + stored.encode_s("test") for own in taken]
        points = [times_as_fast(own, plain) for own in taken]
        drawn[name] = points
        enough = next(n for n, point in zip(sizes, points, strict=True) if point.value >= REACHED * points[-1].value)
        row: dict[str, object] = {"name": name, "queries for 99 %": enough}
        rows.append(row | {f"{n} queries": point for n, point in zip(sizes, points, strict=True)})
    last = {name: points[-1].value for name, points in drawn.items()}
    best = max(last, key=lambda name: last[name])
    needed = {str(row["name"]): row["queries for 99 %"] for row in rows}
    answer = (
        f"REINFORCE reaches 99 % of what it reaches with all {len(train)} queries with {needed['REINFORCE']} of them, "
        f"KNN with {needed['KNN']}, ridge with {needed['ridge']}; with all of them {best} is the fastest, "
        f"{drawn[best][-1]:.2f} times no draft, REINFORCE {drawn['REINFORCE'][-1]:.2f}, the best fixed arm "
        f"{drawn[FIXED][-1]:.2f}."
    )
    shown = {name: drawn[name] for name in SHOWN}
    return Found(rows, answer, lines(shown, sizes, "What more labelled queries bring", "labelled queries"))


def _seconds(formula: str, train: FullInformationData, test: FullInformationData, n: int, seed: int) -> Float64:
    """Return held-out seconds (n,) of a policy that has learned from `n` training queries."""
    tree = SeedTree(seed)
    rows = tree.rng("queries").permutation(len(train))[:n]
    some = train.subset(np.sort(rows))
    policy = seeded(shrunk(make_policy(formula), some), tree.child("policy")).fit(some)
    found: Float64 = (test.probabilities_of(policy) * test.costs).sum(axis=1) + choose_s(policy, test)
    return found


if __name__ == "__main__":
    main()
