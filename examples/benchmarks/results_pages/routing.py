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
    lines += _published(fronts)
    for name, front in fronts.items():
        lines += picture(folder, f"routing_{name}.png", f"{name}: mean reward over {front['unit']}")
    return lines


def _published(fronts: Record) -> list[str]:
    """Return what others' routers reach, where the log is the same."""
    saved = {
        name: 1 - fronts[f"routellm_{name}"]["numbers"]["cpt_50"]["value"] / 0.5
        for name in ("mmlu", "gsm8k")
        if f"routellm_{name}" in fronts and fronts[f"routellm_{name}"]["numbers"]["cpt_50"] is not None
    }
    if len(saved) < 2:
        return []
    return [
        "### Beside published routers",
        "",
        "The two RouteLLM logs are halves of the answers that its authors released and measured their routers on. "
        "[Their report](https://github.com/lm-sys/lm-sys.github.io/blob/main/blog/2024-07-01-routellm.md) gives calls "
        "to GPT-4 saved against a router that chooses at random, for which CPT(50%) is 0.5: about 30 % on MMLU for "
        "half of the gap (the best of four, trained on Chatbot Arena and some 1,500 labelled questions of MMLU's "
        "validation part), and up to 40 % on GSM8K. By CPT(50%) the policy here saves "
        f"{100 * saved['mmlu']:.0f} % and {100 * saved['gsm8k']:.0f} %; it is trained on other questions of the same "
        "log, with the domain where there are several, and tested on a part of the half: a rough comparison.",
        "",
        "No published AIQ or CostSave of these logs was found: RouterBench and LLMRouterBench measure their own, and "
        "ParetoBandit reports three arms under another score. What PerfGain, CostSave and ParetoDist mean was checked "
        "against the words of [LLMRouterBench's repository](https://github.com/ynulihao/LLMRouterBench), which gives "
        "no formula: the best single model's quality exceeded, its cost saved at comparable quality, and the average "
        "distance to the Pareto front. RouteLLM's evaluation code integrates a router's own points for APGR, where "
        "ours takes their hull; RouterBench's integrates the hull from a router's cheapest point on and divides by the "
        "largest cost, where ours is a mean over the costs from the cheapest arm's to the dearest's.",
        "",
    ]


def _cell(numbers: Record, field: str) -> str:
    if field == "value":
        return three_digits(numbers)
    return "not defined" if numbers[field] is None else three_digits(numbers[field])
