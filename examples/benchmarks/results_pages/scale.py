"""How long decisions and estimates take at the sizes that are largest in use."""

from pathlib import Path

from results_pages.parts import bar_table, missing, origin, page_head, page_text, read_record, table


def scale_page(folder: Path) -> str:
    """Return time and memory of single operations, from bench_scale.json."""
    lines = page_head(
        "Scale",
        "How long a decision takes among many arms or by many rows, how long an estimate takes on a large log, and in "
        "how much memory.",
    )
    record = read_record(folder / "bench_scale.json")
    if record is None:
        return page_text(lines, missing("python examples/benchmarks/bench_scale.py"))
    rows = [
        [row["name"], f"{row['ms']:,.2f}", f"{row['peak_mb']:,.0f}" if "peak_mb" in row else ""]
        for row in record["rows"]
    ]
    note = (
        "One thread. Medians over repeats, the estimate once; d features, k arms. Peak: of the process's resident "
        "memory, above what it and the log's arrays took before."
    )
    lines += [*table(["operation", "ms", "peak MB"], rows), "", note, ""]
    return page_text([*lines, *bar_table(record["bars"]), *origin(record)])
