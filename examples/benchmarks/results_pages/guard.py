"""Whether a budget of lost seconds is ever exceeded."""

from pathlib import Path

from results_pages.parts import bar_table, missing, origin, read_record, table


def guard_lines(folder: Path) -> list[str]:
    """Return the section, from bench_guard.json."""
    record = read_record(folder / "bench_guard.json")
    lines = ["## The budget of lost seconds", ""]
    if record is None:
        return lines + missing("python examples/benchmarks/bench_guard.py")
    settings = record["settings"]
    lines += [
        f"{settings['n_requests']:,} simulated requests in each line. The adversary knows where the budget stands: it "
        "takes the arm that loses most whenever that is allowed, and saves time until it is. At random, any arm; "
        "turning, one that saves for a thousand rounds and then loses for a thousand. What no draft would have taken "
        "is known exactly in a simulation; where the pace is measured, the guard knows undrafted rounds with a noise "
        f"of {settings['noise']:.0%} only. Beyond: rounds after which more was lost than the budget and the costliest "
        "round (of all requests that run at once) so far.",
        "",
    ]
    rows = [
        [
            name,
            f"{row['n_rounds']:,}",
            f"{row['n_drafted']:,}",
            f"{row['most_lost_s']:.2f}",
            f"{row['largest_round_s']:.2f}",
            f"{row['n_beyond']}",
        ]
        for name, row in record["rows"].items()
    ]
    heads = ["", "rounds", "drafted", "most ever lost, s", "costliest round, s", "beyond"]
    return [*lines, *table(heads, rows), "", *bar_table(record["bars"]), *origin(record), ""]
