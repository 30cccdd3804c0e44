"""What policies earn on public logs of routed queries, and at which cost."""

from collections.abc import Sequence
from pathlib import Path

from results_pages.parts import (
    Record,
    bar_table,
    missing,
    origin,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    tables,
    three_digits,
)

_KINDS = ("text", "segment", "text and segment", "best arm by segment", "best fixed arm", "oracle")
_NUMBERS = {
    "AIQ": "value",
    "AIQ over the arms' hull": "aiq_over_arms",
    "APGR": "apgr",
    "CPT(50%)": "cpt_50",
    "CPT(80%)": "cpt_80",
    "PerfGain": "perf_gain",
    "CostSave": "cost_save",
    "ParetoDist": "pareto_dist",
}


def routing_page(folder: Path) -> str:
    """Return the page, from bench_routing.json."""
    lines = page_head(
        "Routing",
        "Which model for which query: what a linear policy earns on public logs in which every model answered "
        "every query, beside the best model of each domain, the best one for all, and the oracle; and what it costs.",
    )
    record = read_record(folder / "bench_routing.json")
    if record is None:
        return page_text(lines, missing("python examples/benchmarks/bench_routing.py --logs LOGS"))
    settings = record["settings"]
    lines += [
        f"`{settings['policy']}` with the shrinkage that `compare` chooses on the training rows, {settings['n_seeds']} "
        f"seeds, {settings['test_share']:.0%} of the queries tested. *Text*: {settings['encoder']}. *Segment*: the "
        "log's domain. Values are exact; brackets are 95 % intervals over seeds and queries, differences are paired. "
        "*Best arm by segment* is the arm that was best on the training rows of the query's domain.",
        "",
    ]
    for way in ("every reward", "bandit feedback"):
        lines += _compared(way, [row for row in record["rows"] if row["way"] == way])
    lines += _fronts(folder, record["fronts"])
    return page_text([*lines, *bar_table(record["bars"]), *origin(record)])


def _compared(way: str, rows: Sequence[Record]) -> list[str]:
    told = {
        "every reward": "## Learned from every model's reward",
        "bandit feedback": "## Learned from one model a query, drawn uniformly",
    }
    heads = ["", *(f"{row['log']} ({row['n_queries']:,} queries, {row['n_arms']} arms)" for row in rows)]
    values = [
        [kind, *(f"{row['values'][kind]['value']:.4f}" if kind in row["values"] else "" for row in rows)]
        for kind in _KINDS
    ]
    less = [
        [
            row["log"],
            row["best"],
            three_digits(row["less_fixed"]),
            three_digits(row["less_look_up"]) if "less_look_up" in row else "one domain",
        ]
        for row in rows
    ]
    return [
        told[way],
        "",
        *table(heads, values),
        "",
        *table(["log", "contexts", "less best fixed arm", "less best arm by segment"], less),
        "",
    ]


def _fronts(folder: Path, fronts: Record) -> list[str]:
    lines = [
        "## Cost against quality",
        "",
        "The same policy, learned from every model's reward, at 13 weights of the cost, with text and segment where "
        "the log has several domains. The numbers are those that papers on routing report; "
        "[what each is](../reference/bandits/evaluation.md). Costs are what the log tells: "
        + "; ".join(f"{name}: {front['unit']}" for name, front in fronts.items())
        + ".",
        "",
    ]
    heads = ["", *fronts]
    cells = [
        [heading, *(_cell(front["numbers"], field) for front in fronts.values())] for heading, field in _NUMBERS.items()
    ]
    lines += [*tables(heads, cells), ""]
    for name, front in fronts.items():
        lines += picture(folder, f"routing_{name}.png", f"{name}: mean reward over {front['unit']}")
    return lines


def _cell(numbers: Record, field: str) -> str:
    if field == "value":
        return three_digits(numbers)
    return "not defined" if numbers[field] is None else three_digits(numbers[field])
