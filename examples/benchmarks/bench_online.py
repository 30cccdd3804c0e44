"""Learning while serving: the curve from nothing, drift at half-time with and without forgetting, an arm that joins.

    python examples/benchmarks/bench_online.py --data TRAIN TEST     # folders of draftpick collect
    python examples/benchmarks/bench_online.py --smoke

Requests are drawn from queries of which every arm's seconds are known, so that what each policy would have taken is
exact. Writes docs/results/bench_online.json.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from online_bench.detector import measure_detector
from online_bench.queries import Queries, made_up_queries, read_queries
from online_bench.serving import EXPLORATION, LEARN_EVERY, served_seconds
from online_bench.streams import STREAMS, Stream

from arms.atomic_file import write_file
from bandits import UCB1, LinTS, LinUCB, Policy, SeedTree, simulate
from bandits.policies import Discounted, ResetOnDrift, SlidingWindow
from bandits.simulation.environments import DriftingEnvironment, LinearEnvironment
from bandits.simulation.simulation import over_seeds
from speculative.measuring.machine import machine_facts

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_online.json"
N_BLOCKS = 20
FRESH: Mapping[str, Policy] = {
    "LinTS": LinTS(),
    "LinTS, posterior_scale 0.3": LinTS(posterior_scale=0.3),
    "LinUCB": LinUCB(),
    "LinUCB, ucb_width 0.1": LinUCB(ucb_width=0.1),
    "UCB1": UCB1(),
}
FORGETTING: Mapping[str, Callable[[Policy], Policy]] = {
    "none": lambda policy: policy,
    "discount": lambda policy: Discounted(policy, discount=0.999),
    "window": lambda policy: SlidingWindow(policy, n_rows=1000),
    "detector": lambda policy: ResetOnDrift(policy, threshold=20.0),
}
NEW_ARM_ROWS = (0.0, 20.0)

Cell = dict[str, float]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", help="collected folders with every arm observed")
    parser.add_argument("--text", default="Qwen2.5-Coder 1.5B in bfloat16, draft of 0.5B", help="what they are of")
    parser.add_argument("--n", type=int, default=4000, help="requests of a stream")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="few requests on made-up queries; write nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n, options.seeds = 40, 2
    elif options.data is None:
        parser.error("--data is needed, or --smoke")
    queries = made_up_queries() if options.smoke else read_queries(options.data, options.text)
    report = {
        "curve": curve(queries, options.n, options.seeds),
        "drift": {name: drift(queries, name, options.n, options.seeds) for name in STREAMS},
        "environments": environments(options.n, options.seeds),
        "detector": measure_detector(*((3, 50) if options.smoke else (100, 1000)), seed=0),
    }
    report["bars"] = bars(report)
    print(json.dumps(report, indent=1))
    if not options.smoke:
        settings = {
            "n": options.n,
            "seeds": options.seeds,
            "exploration": EXPLORATION,
            "learn_every": LEARN_EVERY,
            "queries": len(queries.tokens),
            "of": queries.text,
            "arms": list(queries.arm_names),
        }
        head = {
            "command": "python examples/benchmarks/bench_online.py --data TRAIN TEST",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine_facts(("numpy", "scipy"), threads=1),
            "settings": settings,
        }
        write_file(options.out, json.dumps({**head, **report}, indent=1) + "\n")


def curve(queries: Queries, n: int, n_seeds: int) -> dict[str, object]:
    """Return, for policies that start from nothing, seconds against the best fixed arm, block by block and over all."""
    result: dict[str, object] = {}
    for name, policy in FRESH.items():
        ratios, passed = [], []
        for seed in range(n_seeds):
            stream, seconds = _served(queries, "nothing changes", policy, n, seed)
            best = stream.seconds[:, stream.best_fixed(0, n)]
            ratios.append([_sum(part) / _sum(other) for part, other in zip(*_blocks(seconds, best), strict=True)])
            passed.append(_passes(seconds, best))
        blocks = [_cell(estimate) for estimate in over_seeds(np.array(ratios), 0.95)]
        result[name] = {"blocks": blocks, "passed_after": passed}
    return result


def drift(queries: Queries, stream_name: str, n: int, n_seeds: int) -> dict[str, dict[str, Cell]]:
    """Return seconds against the best fixed arm of each half, before and after half-time, by way of forgetting."""
    ways = [(name, make, 0.0) for name, make in FORGETTING.items()]
    if stream_name == "arm added":
        ways = [(f"{rows:g} rows", FORGETTING["none"], rows) for rows in NEW_ARM_ROWS]
    result = {}
    for name, make, rows in ways:
        figures = []
        for seed in range(n_seeds):
            stream, seconds = _served(queries, stream_name, make(LinTS()), n, seed, rows)
            half = stream.half
            parts = ((0, half), (half, half + n // 8), (half + n // 8, n))
            figures.append([_sum(seconds[a:b]) / _sum(stream.seconds[a:b, stream.best_fixed(a, b)]) for a, b in parts])
        cells = over_seeds(np.array(figures), 0.95)
        result[name] = dict(zip(("before", "just_after", "later"), map(_cell, cells), strict=True))
    return result


def environments(n: int, n_seeds: int) -> dict[str, dict[str, Cell]]:
    """Return the regret of LinUCB by way of forgetting, in made-up environments that change or do not."""
    policies = {name: make(LinUCB()) for name, make in FORGETTING.items()}
    kinds = {
        "linear, nothing changes": LinearEnvironment(),
        "linear, three jumps": DriftingEnvironment(),
        "linear, gradual": DriftingEnvironment(gradual=True),
    }
    result = {}
    for kind, environment in kinds.items():
        rows = simulate(policies, environment, n, range(n_seeds), update_every=LEARN_EVERY).rows
        result[kind] = {row.name: _cell(row.regret) for row in rows}
    return result


def bars(report: Mapping[str, object]) -> list[dict[str, object]]:
    """Return what is watched from version to version."""
    curves, drifts, detector = (dict(report[name]) for name in ("curve", "drift", "detector"))
    figures = [
        ("LinTS: seconds against the best fixed arm, last block", curves["LinTS"]["blocks"][-1]["value"], 1.0),
        (
            "one arm slowed: the best way to forget against none, just after",
            min(row["just_after"]["value"] for way, row in drifts["one arm slowed"].items() if way != "none")
            / drifts["one arm slowed"]["none"]["just_after"]["value"],
            1.0,
        ),
        ("detector at 20: false resets in 1,000 normal rewards", detector["normal"]["20"]["false_per_1000"], 0.1),
    ]
    return [
        {"name": name, "value": value, "bar": bar, "at_most": True, "holds": value <= bar}
        for name, value, bar in figures
    ]


def _served(
    queries: Queries, stream_name: str, policy: Policy, n: int, seed: int, new_arm_rows: float = 0.0
) -> tuple[Stream, np.ndarray]:
    tree = SeedTree(seed)
    stream = STREAMS[stream_name](queries, n, tree.rng("stream"))
    return stream, served_seconds(policy, stream, tree.rng("choices"), new_arm_rows)


def _passes(seconds: np.ndarray, best: np.ndarray) -> int | None:
    """Return after how many requests the total time is below the best fixed arm's for good; None if it never is."""
    above = np.flatnonzero(np.cumsum(seconds) >= np.cumsum(best))
    if not len(above):
        return 0
    return None if above[-1] + 1 == len(best) else int(above[-1]) + 1


def _blocks(*values: np.ndarray) -> list[list[np.ndarray]]:
    return [np.array_split(one, N_BLOCKS) for one in values]


def _sum(values: np.ndarray) -> float:
    return float(values.sum())


def _cell(estimate: object) -> Cell:
    return {name: round(float(getattr(estimate, name)), 4) for name in ("value", "low", "high")}


if __name__ == "__main__":
    main()
