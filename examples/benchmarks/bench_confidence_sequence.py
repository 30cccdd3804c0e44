"""How often a confidence sequence is ever wrong, and how wide it is: 1,000 streams of each kind, looked at throughout.

python examples/benchmarks/bench_confidence_sequence.py             # writes docs/results/bench_confidence_sequence.json
python examples/benchmarks/bench_confidence_sequence.py --smoke
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from arms.atomic_file import write_file
from bandits.checks import Float64
from bandits.off_policy import lower_confidence_sequence

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_confidence_sequence.json"
LEVEL = 0.05
BLOCK = 50  # streams at once, for memory

Stream = tuple[Float64, Float64]
"""Values and their conditional expectations, (n_runs, n) each."""


def coins(rng: np.random.Generator, n_runs: int, n: int) -> Stream:
    """Coins of probability 0.5."""
    return (rng.random((n_runs, n)) < 0.5).astype(float), np.full((n_runs, n), 0.5)


def rare(rng: np.random.Generator, n_runs: int, n: int) -> Stream:
    """Coins of probability 0.02."""
    return (rng.random((n_runs, n)) < 0.02).astype(float), np.full((n_runs, n), 0.02)


def narrow(rng: np.random.Generator, n_runs: int, n: int) -> Stream:
    """Values about 0.3 with a standard deviation of 0.05."""
    return rng.beta(24.9, 58.1, (n_runs, n)), np.full((n_runs, n), 0.3)


def weighted(rng: np.random.Generator, n_runs: int, n: int) -> Stream:
    """Rewards over propensities of 0.05 or 0.5, by what was seen last, of a mean that moves."""
    values, means = np.empty((n_runs, n)), np.empty((n_runs, n))
    last = np.zeros(n_runs)
    for i in range(n):
        propensity = np.where(last > 0, 0.05, 0.5)
        means[:, i] = 0.3 + 0.2 * np.sin(i / 100)
        last = (rng.random(n_runs) < propensity) * (rng.random(n_runs) < means[:, i]) / propensity
        values[:, i] = last
    return values, means


STREAMS: Mapping[str, Callable[[np.random.Generator, int, int], Stream]] = {
    "coins of 0.5": coins,
    "coins of 0.02": rare,
    "narrow about 0.3": narrow,
    "rewards over propensities": weighted,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n-runs", type=int, default=1000)
    parser.add_argument("--n", type=int, default=2000, help="values of a stream")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="few streams; write nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_runs, options.n = 20, 50
    rows = {name: measure(make, options) for name, make in STREAMS.items()}
    bars = [
        {"name": f"{name}: share of streams ever wrong", "value": row["ever_wrong"], "bar": LEVEL, "at_most": True}
        for name, row in rows.items()
    ]
    bars = [{**bar, "holds": bar["value"] <= bar["bar"]} for bar in bars]
    print(json.dumps({"rows": rows, "bars": bars}, indent=1))
    if not options.smoke:
        command = "python examples/benchmarks/bench_confidence_sequence.py"
        settings = {"n_runs": options.n_runs, "n": options.n, "seed": options.seed, "level": LEVEL}
        report = {"command": command, "date": datetime.now(UTC).date().isoformat(), "settings": settings}
        write_file(options.out, json.dumps({**report, "rows": rows, "bars": bars}, indent=1) + "\n")


def measure(make: Callable[[np.random.Generator, int, int], Stream], options: argparse.Namespace) -> dict[str, float]:
    """Return the share of streams whose bound was ever above the running mean, and how far below it ended."""
    rng = np.random.default_rng(options.seed)
    n_wrong, widths = 0, []
    for begin in range(0, options.n_runs, BLOCK):
        values, means = make(rng, min(BLOCK, options.n_runs - begin), options.n)
        running = np.cumsum(means, axis=1) / np.arange(1, options.n + 1)
        bounds = lower_confidence_sequence(values, 0.0, 1.0, LEVEL)
        n_wrong += int((bounds > running).any(axis=1).sum())
        widths += (running[:, -1] - bounds[:, -1]).tolist()
    return {"ever_wrong": n_wrong / options.n_runs, "median_width_at_the_end": round(float(np.median(widths)), 4)}


if __name__ == "__main__":
    main()
