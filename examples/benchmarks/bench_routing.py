"""What policies earn on public logs of routed queries, beside a look-up by domain, the best fixed arm and the oracle.

    python examples/benchmarks/bench_routing.py --logs folder       # writes docs/results/bench_routing.json, pictures
    python examples/benchmarks/bench_routing.py --smoke

Each log is read three times: its texts as 256 hashed words and pairs of words, its domains as columns, and both. For
each seed policies learn from 70 % of the queries, from every arm's reward or from one arm a query drawn uniformly, and
are valued exactly on the rest. The logs are Parquet tables of query_id, query, domain, arm, reward, cost and, in
llmrouter, price_out_per_mtok.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from arms.atomic_file import write_file
from bandits import ComparisonSettings, FullInformationData, HashingEncoder, LinUCB, Uniform, compare, from_long_table
from bandits.data.io import TableLayout
from bandits.evaluation import trade_off
from bandits.statistics.estimate import Estimate
from speculative.measuring.machine import machine_facts

RESULTS = Path(__file__).parents[2] / "docs" / "results"
LOGS = ("llmrouter", "paretobandit_k4", "routellm_mmlu", "routellm_gsm8k", "openai_gsm8k_solutions")
POLICY = LinUCB(ucb_width=0.0)
LOOK_UP, FIXED = "best arm by segment", "best fixed arm"
PRICES = {
    "llmrouter": "list price, $ a million tokens out",
    "paretobandit_k4": "$ a query",
    "routellm_mmlu": "share of calls to GPT-4",
    "routellm_gsm8k": "share of calls to GPT-4",
}
STRONG = "gpt-4-1106-preview"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--logs", type=Path, help="folder of the logs' Parquet files")
    parser.add_argument("--only", nargs="*", choices=LOGS, help="measure these, and keep the others' figures")
    parser.add_argument("--n-seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--smoke", action="store_true", help="one small made-up log, two seeds; write nothing")
    options = parser.parse_args(arguments)
    names = options.only or LOGS
    tables = (
        {"made up": made_up()} if options.smoke else {n: pq.read_table(options.logs / f"{n}.parquet") for n in names}
    )
    seeds = range(2 if options.smoke else options.n_seeds)
    rows = [row for name, table in tables.items() for row in compared(name, table, seeds)]
    fronts = {name: front_of(name, table, seeds, options) for name, table in tables.items() if priced(name, table)}
    kept = options.out / "bench_routing.json"
    if options.only and kept.is_file():
        old = json.loads(kept.read_text(encoding="utf-8"))
        rows = [*rows, *(row for row in old["rows"] if row["log"] not in tables)]
        rows.sort(key=lambda row: LOGS.index(row["log"]))
        fronts = {name: {**old["fronts"], **fronts}[name] for name in PRICES if name in {**old["fronts"], **fronts}}
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": "python examples/benchmarks/bench_routing.py --logs LOGS",
        "machine": machine_facts(),
        "settings": {"n_seeds": len(seeds), "test_share": 0.3, "policy": repr(POLICY), "encoder": "hashing-256"},
        "rows": rows,
        "fronts": fronts,
        "bars": bars_of(rows),
    }
    if not options.smoke:
        write_file(kept, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def made_up() -> pa.Table:
    """Return a small log: in each of three domains another arm is right."""
    rows = []
    for query in range(60):
        domain = query % 3
        for arm in range(3):
            reward = float(arm == domain or query % 7 == arm)
            rows.append((f"q{query}", f"domain {domain} query {query}", str(domain), str(arm), reward, 1.0 + arm))
    names = ("query_id", "query", "domain", "arm", "reward", "cost")
    return pa.table(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def read(table: pa.Table) -> dict[str, FullInformationData]:
    """Return the log with texts, with domains, and with both as contexts; with texts alone where it has one domain."""
    encoder = HashingEncoder()
    found = {"text": from_long_table(table, encoder)}
    if len(set(table["domain"].to_pylist())) > 1:
        found["segment"] = from_long_table(table, None, TableLayout(context_columns=("domain",)))
        found["text and segment"] = from_long_table(table, encoder, TableLayout(context_columns=("domain",)))
    return {name: data.complete_rows() for name, data in found.items() if isinstance(data, FullInformationData)}


def compared(name: str, table: pa.Table, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row for each way of learning: values, and differences paired by seed and query."""
    rows = []
    for way, logging in (("every reward", None), ("bandit feedback", Uniform())):
        data = read(table)
        baseline = LOOK_UP if len(data) > 1 else FIXED
        settings = ComparisonSettings(train_shares=(1.0,), logging_policy=logging, baseline=baseline)
        results = {kind: compare({kind: POLICY}, contexts, seeds, settings=settings) for kind, contexts in data.items()}
        last, kind = list(results.values())[-1], list(results)[-1]
        row: dict[str, Any] = {"log": name, "way": way, "n_queries": last.n_queries, "n_arms": len(last.arm_names)}
        row["values"] = {key: plain(result[key]) for key, result in results.items()}
        row["values"] |= {key: plain(last[key]) for key in (LOOK_UP, FIXED, "oracle") if key in last}
        row["best"] = kind
        row["less_fixed"] = plain(last.conclusion.estimate)
        if baseline == LOOK_UP:
            row["less_look_up"] = plain(last[kind].difference)
        rows.append(row)
        print(json.dumps(row))
    return rows


def priced(name: str, table: pa.Table) -> bool:
    """Return whether what a query costs is known, or stands for something."""
    return name in PRICES or ("cost" in table.column_names and table["cost"].null_count == 0)


def front_of(name: str, table: pa.Table, seeds: Sequence[int], options: argparse.Namespace) -> dict[str, Any]:
    """Return the numbers of routing papers, from the richest contexts that the log has."""
    if name == "llmrouter":
        costs = table["price_out_per_mtok"]
    elif name.startswith("routellm"):
        costs = pa.array([float(arm == STRONG) for arm in table["arm"].to_pylist()])
    else:
        costs = table["cost"]
    data = list(read(table.set_column(table.column_names.index("cost"), "cost", costs)).values())[-1]
    result = trade_off({"LinUCB": POLICY}, data, seeds=seeds, settings=ComparisonSettings(n_bootstrap=500))
    if not options.smoke:
        from bandits.evaluation.plots import plot_trade_off

        plot_trade_off(result, options.out / f"routing_{name}.png", cost_unit=PRICES[name])
    print(result.to_text(200))
    return {
        "unit": PRICES.get(name, "made up"),
        "numbers": {key: value for key, value in asdict(result["LinUCB"]).items() if key != "name"},
        "arms": {arm.name: {"reward": plain(arm), "cost": plain(arm.cost)} for arm in result.arms},
    }


def plain(estimate: Estimate | None) -> dict[str, float]:
    """Return a value and its interval as JSON has them."""
    assert estimate is not None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high}


def bars_of(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what is meant to hold: not below the look-up's value, and above the best fixed arm on three logs."""
    bars = []
    for row in rows:
        if "less_look_up" in row:
            name = f"{row['log']}, {row['way']}: {row['best']} less the look-up"
            bars.append({"name": name, **row["less_look_up"], "bar": 0.0, "holds": row["less_look_up"]["value"] >= 0})
    above = [row["log"] for row in rows if row["way"] == "every reward" and row["less_fixed"]["low"] > 0]
    name = "logs on which it is above the best fixed arm, interval above 0, every reward"
    bars.append({"name": name, "value": len(above), "bar": 3, "holds": len(above) >= 3})
    return bars


if __name__ == "__main__":
    main()
