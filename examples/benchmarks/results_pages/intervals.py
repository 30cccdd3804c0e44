"""How often the intervals of estimates hold the truth, and how often compare claims what is not there."""

from collections.abc import Sequence
from pathlib import Path

from results_pages.parts import Record, bar_table, missing, origin, page_head, page_text, picture, read_record, tables


def intervals_page(folder: Path) -> str:
    """Return coverage and errors of every estimator, and the type-I error of compare."""
    lines = page_head(
        "Intervals",
        "How often the 95 % intervals of `estimate` hold the true value, and how often `compare` claims a difference "
        "between policies of equal value.",
    )
    coverage, errors = (read_record(folder / f"{name}.json") for name in ("bench_intervals", "bench_type_one_error"))
    lines += ["## Off-policy estimates", ""]
    if coverage is None:
        lines += missing("python examples/benchmarks/bench_intervals.py")
    else:
        lines += [*_coverage(coverage), *picture(folder, "bench_intervals.png", "Coverage of the intervals")]
    lines += ["## Comparisons", ""]
    lines += missing("python examples/benchmarks/bench_type_one_error.py") if errors is None else _errors(errors)
    for record, name in ((coverage, "estimates"), (errors, "comparisons")):
        if record is not None:
            lines += [*bar_table(record["bars"]), *origin(record, f"Where the figures come from: {name}")]
    return page_text(lines)


def _coverage(record: Record) -> list[str]:
    lines = [
        f"Share of {record['repeats']} logs whose printed interval holds the true value, and in parentheses the share "
        "of logs for which it was printed, where that is not all. A dash: never printed, with the reason below.",
        "",
        *_judged(record),
    ]
    if record.get("kept"):
        lines += [
            f"From runs before this one, of other code: {', '.join(record['kept'])}. Since then standard errors count "
            "weight that a log lacks, and logs that lack much of it are refused as thin.",
            "",
        ]
    rows = record["rows"]
    if any(row["interval"] == "refitted bootstrap" for row in rows):
        noise = "holds the reward model's noise, not its bias, so it needs a model that is right, as in the linear one"
        lines += [f"The refitted bootstrap of the direct method {noise}.", ""]
    lines += _slope(rows)
    for environment in dict.fromkeys(row["environment"] for row in rows):
        for n_rows in dict.fromkeys(row["n_rows"] for row in rows):
            own = [row for row in rows if (row["environment"], row["n_rows"]) == (environment, n_rows)]
            if own:
                lines += [f"### {environment.capitalize()}, {n_rows:,} rows", "", *_environment(own), ""]
    return [*lines, *_reasons(rows)]


def _judged(record: Record) -> list[str]:
    """Return which intervals the limits are for, and what the others would do to the count."""
    bars = record["bars"]
    limits = {bar["name"]: bar["bar"] for bar in bars if bar["name"].endswith(": coverage")}
    seldom = [
        row["coverage"] >= min(limits.values())
        for row in record["rows"]
        if "coverage" in row and row["interval"] != "refitted bootstrap" and row["printed_share"] < 0.1
    ]
    if not seldom or not limits:
        return []
    held = sum(bar["holds"] for bar in bars)
    return [
        f"Limits are watched of intervals that were printed on a tenth of the logs or more: {held} of {len(bars)} "
        "hold. That rule was made after figures were seen. By the rule before it, which judges every interval that was "
        f"printed at all, {held + sum(seldom)} of {len(bars) + len(seldom)} hold: {len(seldom)} more, each from "
        f"{_seldom_logs(record)} logs at most.",
        "",
    ]


def _seldom_logs(record: Record) -> int:
    shares = [row["printed_share"] for row in record["rows"] if 0 < row["printed_share"] < 0.1]
    return round(max(shares) * record["repeats"])


def _slope(rows: Sequence[Record]) -> list[str]:
    """Return the errors of some estimators beside that of the doubly robust one."""
    names = ("Slope", "MoreRobustDR", "SubGaussianDR", "ShrunkDR(100)", "SwitchDR(10)", "DirectMethod", "SNIPS")
    error = {(row["environment"], row["n_rows"], row["estimator"]): row["rmse"] for row in rows}
    if not any(estimator == "Slope" for _, _, estimator in error):
        return []
    cells = [
        [f"{environment}, {n_rows:,} rows"]
        + [f"{error[environment, n_rows, name] / error[environment, n_rows, 'DoublyRobust']:.2f}" for name in names]
        for environment, n_rows in dict.fromkeys((row["environment"], row["n_rows"]) for row in rows)
    ]
    note = "Error as a multiple of that of `DoublyRobust`; below 1 is better."
    return ["### Against plain doubly robust", "", note, "", *tables(["", *names], cells), ""]


def _environment(rows: Sequence[Record]) -> list[str]:
    kinds = list(dict.fromkeys(row["interval"] for row in rows))
    cells = []
    for estimator in dict.fromkeys(row["estimator"] for row in rows):
        own = {row["interval"]: row for row in rows if row["estimator"] == estimator}
        first = own[kinds[0]]
        width = f"{first['width']:.3f}" if "width" in first else "-"
        shares = [_share(own[kind]) for kind in kinds]
        cells.append([estimator, f"{first['rmse']:.4f}", *shares, width])
    note = f"The logs are worth {rows[0]['effective_size']:.0f} decisions of the evaluated policy on average."
    return [note, "", *tables(["estimator", "error", *kinds, f"width, {kinds[0]}"], cells)]


def _share(row: Record) -> str:
    if "coverage" not in row:
        return "-"
    printed = "" if row["printed_share"] == 1 else f" ({row['printed_share']:.2f})"
    return f"{row['coverage']:.3f}{printed}"


def _reasons(rows: Sequence[Record]) -> list[str]:
    never = {(row["estimator"], row["interval"]): row["refused"] for row in rows if "coverage" not in row}
    reasons: dict[str, list[str]] = {}
    for (estimator, kind), reason in never.items():
        reasons.setdefault(reason, []).append(f"{estimator} ({kind})")
    return ["Why there is none:", "", *(f"- {', '.join(who)}: {why}." for why, who in reasons.items()), ""]


def _errors(record: Record) -> list[str]:
    rows = record["rows"]
    seeds = list(dict.fromkeys(row["n_seeds"] for row in rows))
    found = {(row["kind"], row["n_seeds"]): f"{row['type_one_error']:.3f}" for row in rows}
    kinds = dict.fromkeys(row["kind"] for row in rows)
    heads = ["shown to the policies", *(f"{n} seed" + ("s" if n > 1 else "") for n in seeds)]
    return [
        f"Share of {record['repeats']:,} data sets of {record['n_queries']} queries on which the 95 % interval of the "
        "difference between two policies of equal value leaves out 0.",
        "",
        *tables(heads, [[kind, *(found[kind, n] for n in seeds)] for kind in kinds]),
        "",
    ]
