"""How often `compare` claims a difference between two policies of equal value: at most 5 % by its own account.

Every arm has the same mean reward, so that a policy that learns and one that does not are worth the same whatever it
learned. A query's level is shared by its arms, as easy and hard prompts are. Counted is how often the interval of the
difference leaves out 0: with every reward shown, with bandit feedback, and on a log.

    python examples/benchmarks/bench_type_one_error.py            # minutes on one thread; writes docs/results/
    python examples/benchmarks/bench_type_one_error.py --smoke    # a few repeats; writes nothing
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from arms.atomic_file import write_file
from bandits import ComparisonSettings, FullInformationData, LinUCB, Uniform, compare

RESULTS = Path(__file__).parents[2] / "docs" / "results"
MOST = 0.06
KINDS = ("every reward", "bandit feedback", "log")


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_type_one_error.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=1000, help="data sets for each kind and number of seeds")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 5], help="numbers of divisions")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few repeats; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.repeats, options.seeds = 20, [1]
    started = time.perf_counter()
    rows = []
    for kind in KINDS:
        for n_seeds in options.seeds:
            claimed = [claims_a_difference(kind, n_seeds, repeat, options) for repeat in range(options.repeats)]
            rows.append({"kind": kind, "n_seeds": n_seeds, "type_one_error": float(np.mean(claimed))})
            print("{kind:16} {n_seeds} seeds: {type_one_error:.3f}".format(**rows[-1]), flush=True)
    result: dict[str, Any] = {
        "rows": rows,
        "bars": [bar(row) for row in rows],
        "repeats": options.repeats,
        "n_queries": options.queries,
        "seconds": round(time.perf_counter() - started, 1),
        "command": f"python examples/benchmarks/bench_type_one_error.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    if not options.smoke:
        from speculative.measuring.machine import machine_facts

        result["machine"] = machine_facts()
        write_file(RESULTS / "bench_type_one_error.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def claims_a_difference(kind: str, n_seeds: int, repeat: int, options: argparse.Namespace) -> bool:
    """Return whether the interval of the difference leaves out 0, on one data set."""
    rng = np.random.default_rng([options.seed, repeat, n_seeds, KINDS.index(kind)])
    n = options.queries
    rewards = rng.normal(size=(n, 1)) + rng.normal(size=(n, 3))
    data = FullInformationData(rng.normal(size=(n, 4)), rewards, ("a", "b", "c"))
    settings = ComparisonSettings(
        train_shares=(1.0,), logging_policy=Uniform() if kind == "bandit feedback" else None, baseline="uniform"
    )
    rows = data.log_with(Uniform(), rng) if kind == "log" else data
    seeds = range(repeat * n_seeds, (repeat + 1) * n_seeds)  # each data set has resamples of its own
    found = compare({"uniform": Uniform(), "LinUCB": LinUCB()}, rows, seeds, settings=settings)
    difference = found["LinUCB"].difference
    assert difference is not None
    return not difference.low <= 0 <= difference.high


def bar(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a row is meant to show."""
    name = f"{row['kind']}, {row['n_seeds']} seeds: claims of a difference where there is none"
    value = row["type_one_error"]
    return {"name": name, "value": value, "bar": MOST, "holds": value <= MOST, "at_most": True}


if __name__ == "__main__":
    main()
