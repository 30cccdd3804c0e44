"""How long decisions, fits and estimates take at the sizes that are largest in use."""

from pathlib import Path
from typing import Any

from results_pages.parts import bar_table, missing, origin, page_head, page_text, read_record, table


def scale_page(folder: Path) -> str:
    """Return time and memory of single operations, of logs on disk and of other libraries, from bench_scale.json."""
    lines = page_head(
        "Scale",
        "How long a decision takes among many arms or by many rows, how long fits, estimates and comparisons take on "
        "large logs, in memory and read in batches, and in how much memory.",
    )
    record = read_record(folder / "bench_scale.json")
    if record is None:
        return page_text(lines, missing("python examples/benchmarks/bench_scale.py"))
    rows = [
        [row["name"], f"{row['ms']:,.2f}", f"{row['peak_mb']:,.0f}" if "peak_mb" in row else ""]
        for row in record["rows"]
    ]
    note = (
        "One thread. Medians over repeats; what has a peak ran once. d features, k arms. Peak: of the process's "
        "resident memory, above what it and the log's arrays took before."
    )
    lines += [*table(["operation", "ms", "peak MB"], rows), "", note, ""]
    lines += _on_disk(record.get("streamed", [])) + _peers(record.get("peers", []))
    return page_text([*lines, *bar_table(record["bars"]), *origin(record)])


def _on_disk(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    shown = [[row["name"], f"{row['rows']:,}", f"{row['seconds']:,.1f}", f"{row['peak_mb']:,}"] for row in rows]
    return [
        "## Logs on disk",
        "",
        "Parquet parts of 250,000 rows, d = 64, k = 10. What is streamed is read in batches of 65,536 rows; `compare` "
        "reads the log twice. One thread, once each. Peak: of the whole process, libraries included. "
        "Other work ran on the machine meanwhile, which the two runs of one comparison show.",
        "",
        *table(["operation", "rows", "s", "peak MB"], shown),
        "",
    ]


def _peers(rows: list[dict[str, Any]]) -> list[str]:
    if not rows:
        return []
    shown = [
        [row["name"], row["library"], f"{row['rows']:,}", f"{row['seconds']:,.1f}", f"{row['peak_mb']:,}"]
        for row in rows
    ]
    return [
        "## Beside other libraries",
        "",
        "The same rows, all in memory, d = 64, k = 10; one thread, once each, the libraries' defaults. Peak: of the "
        "whole process, with the rows.",
        "",
        *table(["operation", "library", "rows", "s", "peak MB"], shown),
        "",
    ]
