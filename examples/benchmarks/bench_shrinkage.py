"""What shrinkage chosen by how arms differ brings on bandit feedback, beside the error of each arm's own reward.

    python examples/benchmarks/bench_shrinkage.py --logs folder       # writes docs/results/bench_shrinkage.json
    python examples/benchmarks/bench_shrinkage.py --smoke

A uniform policy logs one random half of each data set, one arm a row; linear policies are fitted to that log and valued
on the other half. The logs are read as by bench_bandits.py.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from bandit_bench.data_sets import covertype_like, digits, read_log, split
from bandit_bench.quality import at_least_zero, interval

from arms.atomic_file import write_file
from bandits import BestFixedArm, FullInformationData, LinTS, LinUCB, Policy, SquareCB
from bandits.policies.linear.prior_precision import CANDIDATES, choose_prior_precision, leave_one_out_errors
from speculative.measuring.machine import machine_facts

RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_shrinkage.json"
LOGS = ("routellm_mmlu", "paretobandit_k4", "llmrouter", "routellm_gsm8k", "openai_gsm8k_solutions")
POLICIES: Mapping[str, Callable[..., Policy]] = {
    "LinUCB, width 0": partial(LinUCB, 0.0),
    "LinUCB": LinUCB,
    "LinTS, scale 0.2": partial(LinTS, posterior_scale=0.2),
    "LinTS": LinTS,
    "SquareCB": SquareCB,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, help="folder of the logs' Parquet files")
    parser.add_argument("--n-seeds", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--smoke", action="store_true", help="one small set, two seeds; write nothing")
    options = parser.parse_args(arguments)
    sets = {"digits": digits()}
    if options.smoke:
        sets, options.n_seeds = {"digits": sets["digits"].subset(np.arange(80))}, 2
    else:
        sets["covertype-like"] = covertype_like(6_000)
        sets |= {} if options.logs is None else {name: read_log(options.logs / f"{name}.parquet") for name in LOGS}
    rows = [row for name, data in sets.items() for row in measured(name, data, options.n_seeds)]
    bars = [at_least_zero(f"{row['data_set']}: {row['policy']} less by reward", row["less_by_reward"]) for row in rows]
    bars += [
        at_least_zero(f"{row['data_set']}: {row['policy']} less the best fixed arm", row["less_best_fixed"])
        for row in rows
        if row["data_set"] == LOGS[0] and row["policy"] in ("LinUCB, width 0", "LinUCB", "LinTS, scale 0.2")
    ]
    for row in rows:
        print(json.dumps(row))
    if not options.smoke:
        record = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": "python examples/benchmarks/bench_shrinkage.py --logs LOGS",
            "machine": machine_facts(),
            "settings": {"n_seeds": options.n_seeds, "candidates": CANDIDATES},
            "sizes": {name: [len(data), data.n_arms] for name, data in sets.items()},
            "rows": rows,
            "bars": bars,
        }
        write_file(options.out, json.dumps(record, indent=1) + "\n")


def measured(name: str, data: FullInformationData, n_seeds: int) -> list[dict[str, object]]:
    """Return a row for each policy: mean rewards on held-out halves, and differences paired by seed."""
    fixed: list[float] = []
    found: dict[str, list[list[float]]] = {policy: [] for policy in POLICIES}
    chosen: list[tuple[float, float]] = []
    for seed in range(n_seeds):
        _, log, test = split(data, seed)
        by_reward = CANDIDATES[int(np.argmin(leave_one_out_errors(log, CANDIDATES)))]
        chosen.append((by_reward, choose_prior_precision(log)))
        fixed.append(test.value(BestFixedArm().fit(log)))
        for policy, make in POLICIES.items():
            found[policy].append([test.value(make(prior_precision=one).fit(log)) for one in (1.0, *chosen[-1])])
    rows: list[dict[str, object]] = []
    for policy, values in found.items():
        unit, by_reward, by_difference = np.array(values).T
        rows.append(
            {
                "data_set": name,
                "policy": policy,
                "best_fixed": interval(np.array(fixed)),
                "unit": interval(unit),
                "by_reward": interval(by_reward),
                "by_difference": interval(by_difference),
                "less_by_reward": interval(by_difference - by_reward),
                "less_best_fixed": interval(by_difference - np.array(fixed)),
                "chosen": [float(np.median(column)) for column in zip(*chosen, strict=True)],
            }
        )
    return rows


if __name__ == "__main__":
    main()
