"""How long decisions, fits and estimates take among many arms or rows, in memory and streamed, and in how much memory.

Data are drawn: normal features, an arm's reward linear in them. One thread. Times are medians over repeats; what takes
long runs once, in a process of its own, whose peak of resident memory is taken.

    python examples/benchmarks/bench_scale.py            # a minute; writes docs/results/bench_scale.json
    python examples/benchmarks/bench_scale.py --smoke    # tiny sizes; writes nothing
    python examples/benchmarks/bench_scale.py --piece write --rows 10000000 --folder ten  # then fit, ... (2.7 GB)
    PYTHONPATH=peers:. python examples/benchmarks/bench_scale.py --peer mabwiser --rows 1000000

Pieces and peers add to the rows that the file holds already.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scale_bench.drawn import drawn_log
from scale_bench.peers import PEERS, library
from scale_bench.streamed import PIECES
from threadpoolctl import threadpool_limits

from arms.atomic_file import write_file
from bandits import KNN, LinTS, LinUCB, Policy, estimate
from speculative.measuring.machine import machine_facts

RESULTS = Path(__file__).parents[2] / "docs" / "results"
MB = 1e6


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured.

    Attributes:
        many_arms: k of the decision among many arms.
        features: d, wherever it does not vary.
        arms: k, wherever it does not vary.
        knn_rows: rows that the nearest-neighbour policy keeps.
        log_rows: n of the log that is estimated on.
        few_rows: n of the log of many arms.
        turn_features: the sizes d of a decision with its update.
        repeats: timings of each.
    """

    many_arms: int = 1_000
    features: int = 64
    arms: int = 10
    knn_rows: int = 20_000
    log_rows: int = 500_000
    few_rows: int = 20_000
    turn_features: tuple[int, ...] = (32, 384)
    repeats: int = 200


SMOKE = Sizes(many_arms=30, features=4, knn_rows=100, log_rows=600, few_rows=600, turn_features=(3, 6), repeats=3)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_scale.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes; writes nothing")
    parser.add_argument("--piece", choices=PIECES, help="measure one thing that is done to a log on disk")
    parser.add_argument("--peer", choices=PEERS, help="measure a library on rows in memory")
    parser.add_argument("--alone", choices=("estimate", "many-arms"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help="of the log of --piece")
    for name, default in (("rows", 1_000_000), ("features", 64), ("arms", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    shape = options.rows, options.features, options.arms
    if options.alone or options.piece or options.peer:
        with threadpool_limits(1):
            return _one(options.alone, options.piece, options.peer, options.folder, shape)
    sizes = SMOKE if options.smoke else Sizes()
    with threadpool_limits(1):
        rows = measure(sizes)
    record: dict[str, Any] = {
        "rows": rows,
        "bars": [_bar(row, unit) for row in rows for unit in ("ms", "peak_mb") if f"{unit}_limit" in row],
        "command": "python examples/benchmarks/bench_scale.py",
        "date": time.strftime("%Y-%m-%d"),
        "load_average": round(os.getloadavg()[0], 1),
        "machine": machine_facts(("numpy", "scipy"), threads=1),
        **{kind: measured for kind, measured in _known().items() if kind in ("streamed", "peers")},
    }
    for row in rows:
        print(json.dumps(row))
    if not options.smoke:
        write_file(RESULTS / "bench_scale.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def measure(sizes: Sizes) -> list[dict[str, Any]]:
    """Return a row for each operation: what it is, its milliseconds and, where there are, its limits."""
    d, k = sizes.features, sizes.arms
    many = LinTS().fit(drawn_log(3 * sizes.many_arms, d, sizes.many_arms))
    near = KNN().fit(drawn_log(sizes.knn_rows, d, k))
    found = _elsewhere("estimate", sizes.log_rows, d, k)
    few, wide_k = sizes.few_rows, sizes.many_arms
    return [
        {
            "name": f"LinTS, a decision among {sizes.many_arms:,} arms, d = {d}",
            "ms": _decision_ms(many, d, sizes.repeats),
            "ms_limit": 20.0,
        },
        {
            "name": f"estimate on {sizes.log_rows:,} rows, d = {d}, k = {k}",
            "ms": found["ms"],
            "ms_limit": 5_000.0,
            "peak_mb": found["peak_mb"],
            "peak_mb_limit": 600.0,
        },
        {
            "name": f"KNN, a decision among {k} arms by {sizes.knn_rows:,} rows, d = {d}",
            "ms": _decision_ms(near, d, sizes.repeats),
        },
        {
            "name": f"LinUCB, fit to {few:,} rows of {wide_k:,} arms, d = {d}",
            "ms": _elsewhere("many-arms", few, d, wide_k)["ms"],
        },
        {
            "name": f"estimate on {few:,} rows of {wide_k:,} arms, d = {d}",
            **_elsewhere("estimate", few, d, wide_k),
        },
        *(
            {"name": f"LinUCB, a decision and its update, d = {wide}, k = {k}", "ms": _turn_ms(wide, sizes)}
            for wide in sizes.turn_features
        ),
    ]


def _decision_ms(policy: Policy, d: int, repeats: int) -> float:
    """Milliseconds of `choose` for one context, the median."""
    rng = np.random.default_rng(1)
    contexts = iter(rng.standard_normal((repeats + 1, d), dtype=np.float32) / np.float32(np.sqrt(d)))
    return _median_ms(lambda: policy.choose(next(contexts), rng), repeats)


def _turn_ms(d: int, sizes: Sizes) -> float:
    """Milliseconds of `choose` and of `update` with the row that it gives, the median."""
    policy = LinUCB().fit(drawn_log(100 * sizes.arms, d, sizes.arms))
    rng = np.random.default_rng(1)
    contexts = iter(rng.standard_normal((sizes.repeats + 1, 1, d), dtype=np.float32) / np.float32(np.sqrt(d)))

    def turn() -> None:
        context = next(contexts)
        decision = policy.choose(context[0], rng)
        policy.update(context, [decision.action], [0.5], [decision.propensity])

    return _median_ms(turn, sizes.repeats)


def _median_ms(operation: Callable[[], object], repeats: int) -> float:
    operation()  # what is derived from the fit once
    taken = []
    for _ in range(repeats):
        begin = time.perf_counter()
        operation()
        taken.append(time.perf_counter() - begin)
    return round(1e3 * float(np.median(taken)), 3)


def _elsewhere(what: str, n: int, d: int, k: int) -> dict[str, float]:
    asked = ["--alone", what, "--rows", str(n), "--features", str(d), "--arms", str(k)]
    child = subprocess.run([sys.executable, __file__, *asked], check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(child.stdout)
    return found


def _one(
    alone: str | None, piece: str | None, peer: str | None, folder: Path | None, shape: tuple[int, int, int]
) -> dict[str, Any]:
    """Measure one thing here, and print it; what is no part of a whole run joins the file."""
    if alone is not None:
        found: dict[str, Any] = _alone(alone, *shape)
        print(json.dumps(found))
        return found
    if peer is not None:
        package, what, prepare = PEERS[peer]
        run = prepare(drawn_log(*shape, seed=1))
        found = {"name": what, "library": library(package), "rows": shape[0], **_measured(run)}
        _join("peers", found)
    elif folder is not None and piece is not None:
        what, of_folder = PIECES[piece]
        found = {"name": what, "rows": shape[0], **_measured(lambda: of_folder(folder, *shape))}
        _join("streamed", found)
    else:
        raise SystemExit("--piece needs --folder, where the log is or will be")
    print(json.dumps(found))
    return found


def _measured(run: Callable[[], None]) -> dict[str, float]:
    begin = time.perf_counter()
    run()
    seconds = time.perf_counter() - begin
    return {"seconds": round(seconds, 1), "peak_mb": round(max(_peak_bytes(), _peak_bytes(children=True)) / MB)}


def _known() -> dict[str, Any]:
    path = RESULTS / "bench_scale.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _join(kind: str, found: dict[str, Any]) -> None:
    """Put a row among those of the file, in place of one of the same name, library and number of rows."""
    record = _known()
    same = ("name", "library", "rows")
    others = [row for row in record.get(kind, ()) if any(row.get(name) != found.get(name) for name in same)]
    record[kind] = sorted([*others, found], key=lambda row: (row["rows"], row["seconds"]))
    write_file(RESULTS / "bench_scale.json", json.dumps(record, indent=1, allow_nan=False) + "\n")


def _alone(what: str, n: int, d: int, k: int) -> dict[str, float]:
    """Return the milliseconds of one operation, and the peak of memory above what process and log took before."""
    policy = LinUCB().fit(drawn_log(100 * min(k, 10), d, k, seed=1))
    estimate(policy, drawn_log(20 * min(k, 10), d, k, seed=2))  # what is imported at the first call
    before = _peak_bytes()
    log = drawn_log(n, d, k)
    own = sum(part.nbytes for part in (log.contexts, log.actions, log.rewards, log.propensities))
    begin = time.perf_counter()
    if what == "estimate":
        estimate(policy, log)
    else:
        LinUCB().fit(log)
    seconds = time.perf_counter() - begin
    return {"ms": round(1e3 * seconds, 1), "peak_mb": round((_peak_bytes() - before - own) / MB, 1)}


def _peak_bytes(*, children: bool = False) -> int:
    import resource  # not on Windows

    of = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    return resource.getrusage(of).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _bar(row: dict[str, Any], unit: str) -> dict[str, Any]:
    value, limit = row[unit], row[f"{unit}_limit"]
    what = {"ms": "ms", "peak_mb": "peak MB above the log's own"}[unit]
    return {"name": f"{row['name']}: {what}", "value": value, "bar": limit, "at_most": True, "holds": value <= limit}


if __name__ == "__main__":
    main()
