"""What shrinkage chosen by how arms differ brings on a log."""

from pathlib import Path

from results_pages.parts import bar_table, missing, origin, read_record, table, three_digits


def shrinkage_lines(folder: Path) -> list[str]:
    """Return the section, from bench_shrinkage.json."""
    record = read_record(folder / "bench_shrinkage.json")
    lines = ["## Shrinkage on a log", ""]
    if record is None:
        return lines + missing("python examples/benchmarks/bench_shrinkage.py")
    lines += [
        "A uniform policy logs one random half of each data set, one arm a row; linear policies are fitted to that log "
        f"and valued on the other half; {record['settings']['n_seeds']} seeds, differences paired by seed, 95 % "
        "intervals over seeds. *By reward*: the prior precision of least leave-one-out error of each arm's own reward. "
        "*By difference*: the one that `choose_prior_precision` takes, the largest whose error of the differences "
        "between arms is within one standard error of the least. "
        "LinTS and SquareCB explore, which costs reward on a log, where nothing comes of it.",
        "",
    ]
    for name in dict.fromkeys(row["data_set"] for row in record["rows"]):
        own = [row for row in record["rows"] if row["data_set"] == name]
        n_rows, n_arms = record["sizes"][name]
        lines += [
            f"{name}: {n_rows:,} rows, {n_arms} arms, best fixed arm {own[0]['best_fixed']['value']:.4f}; median "
            f"precision {own[0]['chosen'][0]:g} by reward, {own[0]['chosen'][1]:g} by difference.",
            "",
            *table(
                ["", "by reward", "by difference", "difference of these", "less best fixed arm"],
                [
                    [
                        row["policy"],
                        f"{row['by_reward']['value']:.4f}",
                        f"{row['by_difference']['value']:.4f}",
                        three_digits(row["less_by_reward"]),
                        three_digits(row["less_best_fixed"]),
                    ]
                    for row in own
                ],
            ),
            "",
        ]
    return [*lines, *origin(record, "Where the figures come from: shrinkage"), *bar_table(record["bars"]), ""]
