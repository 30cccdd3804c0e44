"""What policies lose that learn from their own choices: beside tuned peers, on texts, where rewards change."""

from pathlib import Path

from results_pages.parts import Record, bar_table, missing, origin, page_head, page_text, read_record, table


def regret_page(folder: Path) -> str:
    """Return the page, from bench_regret.json."""
    lines = page_head(
        "Regret",
        "What policies lose against the best arm of each context while they learn from their own choices, one reward a "
        "decision.",
    )
    record = read_record(folder / "bench_regret.json")
    if record is None:
        return page_text(lines + missing("python examples/benchmarks/bench_regret.py"))
    sections = {"peers": _peers, "other_seeds": _other_seeds, "texts": _texts, "drift": _drift, "many_arms": _many_arms}
    for part, section in sections.items():
        lines += section(record) if record.get(part) else []
    return page_text([*lines, *bar_table(record["bars"]), *origin(record)])


def _peers(record: Record) -> list[str]:
    settings = record["settings"]
    cells = [
        [
            row["environment"],
            row["rule"],
            _interval(row["ours"]),
            "-" if row["peer"] is None else _interval(row["theirs"]),
            row["peer"] or "not measured",
            "-" if row["peer"] is None else f"{row['ratio']:.2f}",
        ]
        for row in record["peers"]
    ]
    return [
        "## Beside tuned peers",
        "",
        f"Regret after {settings['n_decisions']:,} decisions, updated every ten unless it says otherwise, "
        f"{settings['n_seeds']} runs, with 95 % intervals. Contexts are uniform on the unit sphere, coefficients "
        "standard normal. Ours are `LinUCB()` and `LinTS()` with their defaults. The peer is, of MABWiser and "
        "contextualbandits at widths or scales of 0.1 to 2, with and without an intercept, the one of least regret in "
        "five other runs of the same environment, which no user can know beforehand.",
        "",
        *table(["environment", "rule", "ours", "tuned peer", "which", "ours over it"], cells),
        "",
        "Contexts vary so much here that a policy explores without meaning to: the peers' best scales are small. "
        "`LinTS()` is not the textbook's Thompson sampling: it draws 15 % of its decisions so and takes the arm of the "
        "highest mean in the others; `LinTS(sampled_share=1)` is. Its share and precisions were chosen by these very "
        "runs, which makes its figures here too good; the next table has others. Where rewards lie away from zero, "
        "peers lack an intercept, or learn one of each arm from nothing; ours is shrunk to what all arms share.",
        "",
    ]


def _other_seeds(record: Record) -> list[str]:
    n_seeds = record["settings"]["n_seeds"]
    shown = [row["environment"] for row in record["other_seeds"]]
    left = [row["environment"] for row in record["peers"] if row["rule"] == "LinTS" and row["environment"] not in shown]
    cells = [
        [
            row["environment"],
            _interval(row["ours"]),
            _interval(row["textbook"]),
            _interval(row["theirs"]) if "theirs" in row else "not measured",
            f"{row['ratio']:.2f}" if "ratio" in row else "-",
        ]
        for row in record["other_seeds"]
    ]
    return [
        "### LinTS on other runs",
        "",
        f"The same environments with {n_seeds} other seeds, by which nothing was chosen, and the peers as tuned above; "
        "Thompson sampling is `LinTS(sampled_share=1)`, with the same priors."
        + (f" Not measured so: {', '.join(left)}." if left else ""),
        "",
        *table(["environment", "LinTS()", "Thompson sampling", "tuned peer", "LinTS() over it"], cells),
        "",
    ]


def _texts(record: Record) -> list[str]:
    cells = [
        [
            row["log"],
            row["policy"],
            f"{row['n_features']:,}",
            f"{row['megabytes']:.1f}",
            f"{row['reward']['value']:.4f} [{row['reward']['low']:.4f}, {row['reward']['high']:.4f}]",
            f"{row['best_fixed']:.4f}",
        ]
        for row in record["texts"]
    ]
    return [
        "## Texts of thousands of features",
        "",
        "Mean reward of 1,500 decisions on logs of LLM calls in random order, five runs, updated every 50; texts as "
        "hashed words and pairs of words.",
        "",
        *table(["log", "policy", "features", "MB of sums", "mean reward", "best fixed arm"], cells),
        "",
    ]


def _drift(record: Record) -> list[str]:
    rows = record["drift"]
    policies = dict.fromkeys(row["policy"] for row in rows)
    regrets = {(row["environment"], row["policy"]): row["regret"] for row in rows}
    cells = [[name, _interval(regrets["jumps", name]), _interval(regrets["moves", name])] for name in policies]
    return [
        "## Rewards that change",
        "",
        "`DriftingEnvironment` with three changes in 4,000 decisions, ten runs, updated every ten: coefficients that "
        "jump, or move in a straight line from one draw to the next.",
        "",
        *table(["policy", "regret, jumps", "regret, moves"], cells),
        "",
    ]


def _many_arms(record: Record) -> list[str]:
    cells = [
        [
            *(row["policy"], f"{row['n_arms']:,}"),
            *(f"{row['first_s']:.2f}", f"{row['later_s']:.3f}", f"{row['peak_megabytes']:.0f}"),
        ]
        for row in record["many_arms"]
    ]
    return [
        "## Many arms, five rows each",
        "",
        "Seconds of CPU for the first decision after a fit, which factorises, and for each of 20 later ones; 16 "
        "features, memory beyond what was learned.",
        "",
        *table(["policy", "arms", "first, s", "later, s", "peak, MB"], cells),
        "",
    ]


def _interval(value: Record) -> str:
    return f"{value['value']:.0f} [{value['low']:.0f}, {value['high']:.0f}]"
