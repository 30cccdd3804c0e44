"""Regret of policies that learn from their own choices: beside tuned peers, on texts, where rewards change, many arms.

    make bench-peers                                                          # makes .venv-peers, and more
    .venv-peers/bin/python examples/benchmarks/bench_regret.py --logs folder  # writes docs/results/bench_regret.json
    python examples/benchmarks/bench_regret.py --smoke                        # ours alone, short runs

Every policy sees the same contexts and rewards. A peer's width or scale, and whether it has an intercept, are those of
least mean regret in other runs of the same environment; ours are the defaults everywhere.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from regret_bench.beside_peers import OURS, SETTINGS, TUNING_SEEDS, WIDTHS, bar_of, beside_peers, on_other_seeds
from regret_bench.others import drift_rows, many_arms_rows, text_rows

from arms.atomic_file import write_file
from speculative.measuring.machine import machine_facts

PARTS = ("peers", "other_seeds", "drift", "texts", "many_arms")
RESULT = Path(__file__).parents[2] / "docs" / "results" / "bench_regret.json"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, help="folder of the logs' Parquet files")
    parser.add_argument("--n-decisions", type=int, default=2000)
    parser.add_argument("--n-seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS, help="parts to measure; others stay")
    parser.add_argument("--smoke", action="store_true", help="short runs; write nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_decisions, options.n_seeds = 40, 2
    seeds = range(options.n_seeds)
    record = json.loads(options.out.read_text()) if options.out.is_file() and not options.smoke else {}
    for part in options.only:
        if part == "other_seeds":  # than those that the defaults of LinTS were chosen by
            others = [options.n_seeds + seed for seed in seeds]
            record[part] = on_other_seeds(record.get("peers", ()), options.n_decisions, others)
        else:
            record[part] = measured(part, options.logs, options.n_decisions, seeds)
        print(json.dumps({part: record[part]}), flush=True)
    record |= {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python examples/benchmarks/bench_regret.py --logs LOGS",
        "machine": machine_facts(),
        "settings": {
            "n_decisions": options.n_decisions,
            "n_seeds": options.n_seeds,
            "widths": WIDTHS,
            "tuning_seeds": list(TUNING_SEEDS),
        },
        "bars": [bar_of(row) for row in record.get("peers", ()) if row["peer"] is not None],
    }
    if not options.smoke:
        write_file(options.out, json.dumps(record, indent=1) + "\n")


def measured(part: str, logs: Path | None, n_decisions: int, seeds: Sequence[int]) -> list[dict[str, object]]:
    """Return the rows of one table."""
    if part == "peers":
        return [
            beside_peers(name, setting, rule, n_decisions, seeds) for name, setting in SETTINGS.items() for rule in OURS
        ]
    if part == "drift":
        return drift_rows(2 * n_decisions, seeds[:10])
    if part == "texts":
        return [] if logs is None else text_rows(logs, 1500, seeds[:5])
    return many_arms_rows(max(2, n_decisions // 2))


if __name__ == "__main__":
    main()
