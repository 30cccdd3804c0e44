"""Our policies against other bandit libraries': speed on one thread, rewards on the same bandit feedback.

    make bench-peers LOGS=folder                                # all of it
    .venv-peers/bin/python examples/benchmarks/bench_bandits.py            # speed and quality, peers beside ours
    python examples/benchmarks/bench_bandits.py --only reinforce --logs folder       # needs torch, not the peers
    python examples/benchmarks/bench_bandits.py --smoke                    # small; writes nothing

A folder of logs holds Parquet files of (query_id, query, arm, reward) rows; without one only the supervised sets are
used. Each part replaces its own figures in docs/results/bench_bandits.json and leaves the others.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bandit_bench import quality, reinforce, speed
from bandit_bench.data_sets import data_sets
from bandit_bench.peers import TS_PEERS, UCB_PEERS, missing_packages
from bandit_bench.plots import draw

from arms.atomic_file import write_file
from bandits import FullInformationData
from speculative.measuring.machine import machine_facts

RESULTS = Path(__file__).parents[2] / "docs" / "results"
PARTS = ("speed", "quality", "reinforce")
_data_sets: dict[str, FullInformationData] = {}  # of a worker process


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_bandits.json` and its plot."""
    options = parse(arguments)
    missing = missing_packages()
    if missing:
        print(f"not installed, so not measured: {', '.join(missing)}")
        if not options.smoke and set(options.only) != {"reinforce"}:
            raise SystemExit("the peers are missing: run make bench-peers, or pass --smoke")
    if options.logs is None:
        print("no folder of logs given (--logs): the supervised sets only")
    quality.limit_threads()
    path = RESULTS / "bench_bandits.json"
    result: dict[str, Any] = {"parts": {}, "bars": []}
    for part in options.only:
        started = time.perf_counter()
        found = {"speed": measure_speed, "quality": measure_quality, "reinforce": measure_reinforce}[part](options)
        for bar in found["bars"]:
            print("{holds!s:5} {name}: {value:.3f} (bar {bar:.3f})".format(**bar))
        if not options.smoke and path.is_file():  # read now, so that parts measured meanwhile are kept
            result = json.loads(path.read_text(encoding="utf-8"))
        result["parts"][part] = {**found, "seconds": round(time.perf_counter() - started, 1), **origin(part, options)}
        result["bars"] = [bar for name in PARTS if name in result["parts"] for bar in result["parts"][name]["bars"]]
        if not options.smoke:
            write_file(path, json.dumps(result, indent=1, allow_nan=False) + "\n")
            draw(result["parts"], path.with_suffix(".png"))
    return result


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=["speed", "quality"])
    parser.add_argument("--logs", type=Path, help="folder of the four logs' Parquet files")
    parser.add_argument("--seeds", type=int, default=20, help="for quality and reinforce")
    parser.add_argument("--processes", type=int, default=2, help="for quality and reinforce; speed takes one thread")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="small; writes nothing")
    return parser.parse_args(arguments)


def measure_speed(options: argparse.Namespace) -> dict[str, Any]:
    """Return our times against each peer's, LinTS's against LinUCB's, and how ours grow."""
    sizes = speed.SMOKE if options.smoke else speed.Sizes()
    rows = speed.measure_peers(sizes, options.seed, print)
    lin_ts = speed.measure_lin_ts(sizes, options.seed, print)
    return {
        "rows": rows,
        "lin_ts": lin_ts,
        "growth": speed.measure_growth(sizes, options.seed, print),
        "n": sizes.n_rows,
        "pairs": sizes.pairs,
        "bars": speed.speed_bars(rows, lin_ts, sizes),
    }


def measure_quality(options: argparse.Namespace) -> dict[str, Any]:
    """Return mean rewards on every data set, logged and online."""
    n_seeds, n_online = (2, 120) if options.smoke else (options.seeds, 1_000)
    data = data_sets(options.logs, 300 if options.smoke else None)
    seeds = range(options.seed, options.seed + n_seeds)
    tasks = [quality.Task(name, way, seed) for way in ("logged", "online") for name in data for seed in seeds]
    work = partial(_run_quality, n_online=n_online)
    if options.smoke:
        _data_sets.update(data)
        found = [work(task) for task in tasks]
    else:
        # long tasks first, so that the processes end together
        tasks.sort(
            key=lambda task: -data[task.data_set].n_features * data[task.data_set].n_arms * len(data[task.data_set])
        )
        with _pool(options) as pool:
            found = list(pool.map(work, tasks))
    rows = quality.summarise(dict(zip(tasks, found, strict=True)))
    sizes = {
        name: {"rows": len(data_set), "d": data_set.n_features, "k": data_set.n_arms} for name, data_set in data.items()
    }
    return {"data_sets": sizes, "n_online": n_online, "rows": rows, "bars": quality.quality_bars(rows)}


def measure_reinforce(options: argparse.Namespace) -> dict[str, Any]:
    """Return REINFORCE's training speed, and its value beside ridge's on every data set."""
    rates = reinforce.training_speed(*((600, 1) if options.smoke else (20_000, 5)), options.seed)
    data = data_sets(options.logs, 80 if options.smoke else None)
    seeds = range(options.seed, options.seed + (2 if options.smoke else options.seeds))
    results: dict[str, list[dict[str, float]]] = {}
    if options.smoke:
        results = {name: [reinforce.run(data_set, seed) for seed in seeds] for name, data_set in data.items()}
    else:
        with _pool(options) as pool:
            for name in data:
                results[name] = list(pool.map(partial(_run_reinforce, name), seeds))
                print(f"reinforce: {name} measured")
    rows = reinforce.summarise(results)
    return {"training": rates, "rows": rows, "bars": reinforce.reinforce_bars(rates, rows)}


def _pool(options: argparse.Namespace) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(options.processes, multiprocessing.get_context("spawn"), _start_worker, (options.logs,))


def _start_worker(logs: Path | None) -> None:
    quality.limit_threads()
    _data_sets.update(data_sets(logs))


def _run_quality(task: quality.Task, n_online: int) -> dict[str, float]:
    return quality.run(task, _data_sets[task.data_set], n_online)


def _run_reinforce(data_set: str, seed: int) -> dict[str, float]:
    return reinforce.run(_data_sets[data_set], seed)


def origin(part: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return where a part's figures come from."""
    own = ["numpy", "scipy"]
    own += ["torch"] if part == "reinforce" else sorted({peer.package for peer in (UCB_PEERS | TS_PEERS).values()})
    command = ["python examples/benchmarks/bench_bandits.py", "--only", part]
    if part != "speed":
        command += ["--logs", "LOGS"] if options.logs is not None else []
        command += ["--seeds", str(options.seeds)]
    return {
        "machine": machine_facts(own, threads=1),
        "command": " ".join([*command, "--seed", str(options.seed)]),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }


if __name__ == "__main__":
    main()
