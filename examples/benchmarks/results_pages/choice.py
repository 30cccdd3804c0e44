"""Whether choosing pays: learned choices, rules and fixed arms on held-out prompts, and what each ingredient brings."""

import json
from pathlib import Path

from results_pages.parts import (
    Record,
    bar_table,
    details,
    missing,
    origin,
    own_runs,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    tables,
    two_digits,
)

_HEADS = ("", "tokens/s", "times no draft", "times the best fixed arm", "times the best arm or rule")
_FIXED, _NO_DRAFT, _RULE = "over best fixed arm", "over no_draft", "over best fixed arm or rule"


def choice_page(folder: Path) -> str:
    """Return a section for each choice_*.json, below one table of all."""
    lines = page_head(
        "The choice",
        "What a learned choice per query brings over the best fixed arm, on prompts that nothing was learned from, and "
        "what objective, shrinkage, contexts and rules have to do with it.",
    )
    records = [record for path in sorted(folder.glob("choice_*.json")) if (record := read_record(path)) is not None]
    if not records:
        return page_text(lines, missing("python examples/benchmarks/bench_choice.py TRAIN_FOLDER TEST_FOLDER"))
    lines += _overview(records)
    for record in records:
        lines += _section(folder, record)
    return page_text(lines)


def _overview(records: list[Record]) -> list[str]:
    rows = []
    for record in records:
        own = {row["name"]: row for row in record["rows"]}
        names = ("no_draft", record["best_fixed_arm"], record["chosen"])
        speeds = [f"{own[name]['tokens_per_second']:.1f}" for name in names]
        oracle = next(row for row in record["rows"] if row["kind"] == "oracle")
        rows.append([record["name"], *speeds, *(two_digits(row[_FIXED]) for row in (own[record["chosen"]], oracle))])
    heads = ["", "no draft, tokens/s", "best fixed arm", "learned choice", "learned over fixed", "oracle over fixed"]
    return [
        *table(heads, rows),
        "",
        "By replay with measured costs: total seconds of all held-out prompts, prefill and choosing counted. The best "
        "fixed arm and the policy are chosen on the training prompts, the policy by its score on those that it had not "
        "seen. Brackets: 95 % bootstrap intervals over prompts, all rows on the same draws.",
        "",
    ]


def _section(folder: Path, record: Record) -> list[str]:
    name = record["name"]
    return [
        f"## {name}",
        "",
        f"{record['n_train']} prompts to learn from, {record['n_test']} held out. The best fixed arm is "
        f"`{record['best_fixed_arm']}`, the best of arms and rules `{record['best_fixed_arm_or_rule']}`; the policy "
        f"chosen is {record['chosen']}.",
        "",
        *picture(folder, f"choice_{name}.png", f"Every arm and policy over the best fixed arm, {name}"),
        *tables(
            ["", "tokens/s", "times no draft", "times the best fixed arm", "times the best arm or rule"], _rows(record)
        ),
        "",
        f"### By domain, {record['chosen']}",
        "",
        *table(["domain", "prompts", "times no draft", "times the best fixed arm"], _domains(record)),
        "",
        "### What each ingredient brings",
        "",
        "Times the best fixed arm, with one ingredient taken away or exchanged.",
        "",
        *_ablation(record),
        "",
        *own_runs(record),
        *_clock(record),
        *bar_table(record["bars"]),
        *origin({**record, "settings": record["data"]}),
        *details("How the policy was chosen", [f"- {name}: {score}" for name, score in record["scores"].items()]),
    ]


def _rows(record: Record) -> list[list[str]]:
    return [
        [row["name"], f"{row['tokens_per_second']:.1f}", *(two_digits(row[key]) for key in (_NO_DRAFT, _FIXED, _RULE))]
        for row in record["rows"]
    ]


def _choosing(record: Record) -> str:
    return ", ".join(f"{name} {taken:.2f} ms" for name, taken in record["choose_ms"].items())


def _domains(record: Record) -> list[list[str]]:
    return [
        [row["domain"], str(row["n_queries"]), two_digits(row[_NO_DRAFT]), two_digits(row[_FIXED])]
        for row in record["by_domain"]
    ]


def _ablation(record: Record) -> list[str]:
    policies = list(record["ablation"][0]["policies"])
    rows = [
        [row["variant"], *(two_digits(row["policies"][policy]) for policy in policies)] for row in record["ablation"]
    ]
    return tables(["", *policies], rows)


def _clock(record: Record) -> list[str]:
    clock = record["clock"]
    if clock is None:
        return []
    lines = [
        "### Replay against the clock",
        "",
        f"{clock['n_queries']} prompts timed with {len(clock['totals'])} arms: replayed seconds are wrong by "
        f"{clock['median_error_of_seconds']:.1%} (median), speeds over no draft by "
        f"{clock['median_error_of_speed']:.1%}. Of {clock['n_pairs_apart']} pairs of arms and policies whose "
        f"measured order is certain, replay has {len(clock['swapped'])} the other way round.",
        "",
    ]
    totals = [[name, f"{each['measured']:.2f}", f"{each['replayed']:.2f}"] for name, each in clock["totals"].items()]
    lines += details("Seconds of each arm", table(["arm", "measured, s", "replayed, s"], totals))
    swapped = [
        f"- {json.dumps(pair['faster'])} over {json.dumps(pair['slower'])}: measured "
        f"{two_digits(pair['measured'])}, replayed {two_digits(pair['replayed'])}"
        for pair in clock["swapped"]
    ]
    return [*lines, *details("Pairs in another order", swapped)]
