"""Speed and rewards beside other libraries'."""

from collections.abc import Callable, Sequence
from pathlib import Path

from results_pages.bandits_summary import bandits_summary
from results_pages.parts import (
    Record,
    bar_table,
    details,
    missing,
    origin,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    tables,
    three_digits,
    two_digits,
)
from results_pages.shrinkage import shrinkage_lines

_SPEED_NOTES = [
    "contextualbandits computes in float32 by default; its float64 row is the same precision as ours. We keep sums in "
    "float64, so that updates in any batches give what one fit gives and a million updates stay exact, and pay for it "
    "in fits. Batches of contexts are scored by float32 products of a float64 factor.",
    "",
]

_QUALITY_NOTES = [
    "- Ours with an intercept of each arm's own (`intercept_precision=0.01`); LinUCB with one standard deviation, as "
    "the peers; LinTS with a learned noise scale and prior precision, drawn in every decision (`sampled_share=1`) and, "
    "but for the rows `posterior_scale=1`, scores sharpened to 0.2 of the posterior's deviation: options, not the "
    "defaults, which the row *LinTS, defaults* has.",
    "- MABWiser's arms hold copies of one random generator, so after a batch their noise is nearly the same and "
    "cancels. With a generator each (row *noise apart*) its LinTS falls to what a noise scale of 1 gives.",
    "- The exact posterior explores more than paid on these sets, on held-out rows and online alike. A noise scale "
    "of 1, the peers' default, is far above the noise of rewards between 0 and 1.",
    "- LinTS is compared with the best of six fixed noise scales, chosen on the same seeds. Only on "
    "openai_gsm8k_solutions does the interval exclude zero, by 0.004.",
    "- LinUCB without an intercept makes the same choices as MABWiser's (see agreement under Speed). The intercept "
    "gains up to 0.010 on logs and costs 0.026 on covertype-like online. On digits, bayesianbandits' bound is a "
    "quantile of draws, which is another computation.",
    "- contextualbandits' LinTS that samples coefficients is near a random choice: its draws have the wrong "
    "covariance. Its ci mode multiplies the standard deviation where its setting says variance (at 1 the same).",
    "- Reinforce is within its interval of a ridge policy of default precision on the four logs, or above it. A ridge "
    "with a chosen precision stays ahead on three of them: it falls back towards the best fixed arm, which is hard to "
    "beat there because queries carry little signal.",
    "",
]

_OPERATIONS = {
    "fit": "learn a log of n rows, until a decision can be made",
    "batch": "choose on n contexts at once",
    "decision": "choose on one context",
    "online": "choose on one context and learn its reward",
}


def bandits_page(folder: Path) -> str:
    """Speed and rewards beside other libraries', from bench_bandits.json."""
    lines = page_head(
        "Bandits beside other libraries",
        "How long our policies take to learn and to choose, and what rewards they bring, beside MABWiser, "
        "contextualbandits, bayesianbandits, ParetoBandit, river, coba and VW on the same rows.",
    )
    record = read_record(folder / "bench_bandits.json")
    if record is None:
        return page_text(lines, missing("make bench-peers"))
    parts = record["parts"]
    lines += bandits_summary(parts)
    lines += picture(folder, "bench_bandits.png", "Times of a row beside other libraries'")
    lines += picture(folder, "bench_bandits_rewards.png", "Rewards on the same feedback beside the best library's")
    sections: tuple[tuple[str, Callable[[Record], list[str]]], ...] = (
        ("speed", _bandit_speed),
        ("quality", _bandit_quality),
        ("reinforce", _bandit_reinforce),
    )
    for name, make in sections:
        if name in parts:
            lines += [*make(parts[name]), ""]
    lines += shrinkage_lines(folder)
    for name, part in parts.items():
        lines += origin(part, f"Where the figures come from: {name}")
    return page_text(lines + bar_table(record["bars"]))


def _bandit_speed(part: Record) -> list[str]:
    lines = [
        "## Speed",
        "",
        f"How many times a peer's time ours is, on one thread: below 1, ours is faster. n = {part['n']:,}, "
        f"k = {part['lin_ts'][0]['k']}, unit-length contexts, rewards 0 or 1.",
        "",
    ]
    for n_features in dict.fromkeys(row["d"] for row in part["rows"]):
        rows = [row for row in part["rows"] if row["d"] == n_features]
        lines += [f"With {n_features} features:", "", *_ratio_table("peer", rows), ""]
        lines += details(f"Microseconds a row with {n_features} features", _microseconds("peer", rows))
    return [*lines, *details("How speed is measured", _how_measured(part)), *_own_speed(part)]


def _how_measured(part: Record) -> list[str]:
    return [
        *(f"- {name}: {text}" for name, text in _OPERATIONS.items()),
        "",
        f"Each peer is paired with our LinUCB in alternation; medians of {part['pairs']} pairs with the 95 % bootstrap "
        "interval of their ratio. Our times include the checks of what comes in, the record of each decision and its "
        "propensity. All are ridge regressions of prior precision 1 without intercept, width one standard deviation; "
        "*another rule* marks what is not the same computation. Agreement: share of 100 contexts on which both choose "
        "the same arm.",
        "",
        *_SPEED_NOTES,
    ]


def _own_speed(part: Record) -> list[str]:
    """How LinTS compares with LinUCB, and how both grow."""
    rows = [{**row, "same_rule": True} for row in part["lin_ts"]]
    lines = [
        "LinTS computes each arm's probability of being best by quadrature for every choice. Times LinUCB's time:",
        "",
        *_ratio_table("d", rows),
        "",
        *details("Microseconds a row of LinTS and LinUCB", _microseconds("d", rows)),
    ]
    shown = ("fit", "batch", "decision", "online")
    growth: list[str] = []
    for axis in dict.fromkeys(row["along"] for row in part["growth"]):
        own = [row for row in part["growth"] if row["along"] == axis]
        fixed = ", ".join(f"{name} = {own[0][name]:,}" for name in "dkn" if name != axis)
        cells = [[row["policy"], f"{row[axis]:,}", *(_digits(row[f"{name}_us"]) for name in shown)] for row in own]
        growth += [f"Microseconds a row as {axis} grows ({fixed}):", "", *table(["", axis, *shown], cells), ""]
    return [*lines, *details("How ours grow", growth)]


def _ratio_table(head: str, rows: Sequence[Record]) -> list[str]:
    return _by_operation(head, rows, _ratio_cell, with_agreement=True)


def _microseconds(head: str, rows: Sequence[Record]) -> list[str]:
    table_lines = _by_operation(head, rows, lambda row: f"{_digits(row['ours_us'])} / {_digits(row['peer_us'])}")
    return ["Ours / the peer's.", "", *table_lines]


def _by_operation(
    head: str, rows: Sequence[Record], show: Callable[[Record], str], *, with_agreement: bool = False
) -> list[str]:
    """Return a table of one row a peer (or a size) and one column an operation."""
    cells = []
    for label in dict.fromkeys(row[head] for row in rows):
        own = {row["operation"]: row for row in rows if row[head] == label}
        cells.append([f"{label}", *(show(own[name]) if name in own else "" for name in _OPERATIONS)])
        if with_agreement:
            cells[-1].append(f"{next(iter(own.values()))['agreement']:.2f}")
    return table([head, *_OPERATIONS, *(["agreement"] if with_agreement else [])], cells)


def _ratio_cell(row: Record) -> str:
    times = two_digits({**row, "value": row["ratio"]})
    return times if row["same_rule"] else f"{times}, another rule"


def _digits(value: float) -> str:
    """Return three digits of a number, never in powers of ten."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _bandit_quality(part: Record) -> list[str]:
    sizes = [
        [name, *(f"{data_set[key]:,}" for key in ("rows", "d", "k"))] for name, data_set in part["data_sets"].items()
    ]
    lines = [
        "## Rewards",
        "",
        "Mean reward, with 95 % intervals over seeds. *Logged*: fitted to a random half as a uniform policy logged it "
        "(one arm a row), valued on the other half; differences are paired by seed. *Online*: "
        f"one pass over at most {part['n_online']:,} rows in batches of 50, the first at random. Settings are those "
        "of each library: prior precision 1, one standard deviation for LinUCB, one posterior draw for LinTS. Ours "
        "with an intercept, and for LinTS a learned noise scale.",
        "",
        "digits is scikit-learn's; covertype-like is made by its make_classification (54 features, 7 classes, a tenth "
        "of the labels wrong), not the real covertype. The others are logs of LLM calls, with 384 hashed words and "
        "pairs of words of the query as contexts.",
        "",
        *table(["data", "rows", "features", "arms"], sizes),
        "",
    ]
    for way in dict.fromkeys(row["way"] for row in part["rows"]):
        for algorithm in dict.fromkeys(row["algorithm"] for row in part["rows"]):
            own = [row for row in part["rows"] if (row["way"], row["algorithm"]) == (way, algorithm)]
            differences = [text for row in own for text in _difference_lines(row)]
            lines += details(f"{algorithm}, {way}", [*_reward_table(own), "", *differences])
    return [*lines, *details("Reasons for the differences", _QUALITY_NOTES)]


def _reward_table(rows: Sequence[Record]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row["mean_reward"]))
    cells = [
        [name, *(three_digits(row["mean_reward"][name]) if name in row["mean_reward"] else "" for row in rows)]
        for name in names
    ]
    return tables(["", *(row["data_set"] for row in rows)], cells, most=4)


def _difference_lines(row: Record) -> list[str]:
    kinds = {"best_peer": "the best peer", "best_scale": "the best fixed scale"}
    return [
        f"- {row['data_set']}: {row['algorithm']} less {kinds[key]}, {row[key]['name']}: {three_digits(row[key])}"
        for key in kinds
        if key in row
    ]


def _bandit_reinforce(part: Record) -> list[str]:
    speeds = [
        [f"{row['hidden_size']}", f"{row['rows_a_second']:,.0f} [{row['low']:,.0f}, {row['high']:,.0f}]"]
        for row in part["training"]
    ]
    lines = [
        "## REINFORCE",
        "",
        "Rows a second that training passes over, one thread, d = 384, k = 4, bandit feedback, by the size of the two "
        "hidden layers (64 is the default); median and range.",
        "",
        *table(["hidden size", "rows a second"], speeds),
        "",
        "Value on the held-out half beside ridge regression's (LinUCB of width 0), from bandit feedback and from full "
        "information; differences are paired by seed.",
        "",
    ]
    names = list(dict.fromkeys(name for row in part["rows"] for name in row["value"]))
    cells = [[name, *(three_digits(row["value"][name]) for row in part["rows"])] for name in names]
    cells += [
        [f"Reinforce less ridge, {kind}", *(three_digits(row["less_ridge"][kind]) for row in part["rows"])]
        for kind in ("bandit", "full")
    ]
    return [*lines, *tables(["", *(row["data_set"] for row in part["rows"])], cells, most=4)]
