"""What passes, rounds and sampled rows cost, and what the memory's bandwidth would allow."""

from collections.abc import Mapping
from pathlib import Path

from results_pages.parts import Record, details, table, tables, transposed

_MODELS = {"float32": "float32", "int4": "4 bits"}


def costs_lines(folder: Path, record: Record) -> list[str]:
    """Return the section's lines."""
    return [
        "A draft pays where verifying several tokens costs hardly more than one.",
        "",
        *_eight_over_one(record),
        *(f"- {conclusion}." for conclusion in dict.fromkeys(record["conclusions"])),
        "",
        *_passes("Milliseconds of a pass over m tokens, float32", record["passes_ms"]),
        *_passes("Milliseconds of a pass over m tokens, 4 bits", record["int4_passes_ms"]),
        *_floor(record["floor"]),
        *details("Outside the forwards, and sampling", _host_and_sampling(record)),
    ]


def _host_and_sampling(record: Record) -> list[str]:
    return [
        *table(["arm, batch 1, greedy", "ms a round"], _rows(record["host_ms"], record["transformers_host_ms"])),
        "",
        "All of a round's time outside the forwards of target and draft, median. Transformers': between two forwards "
        "of its greedy decoding.",
        "",
        *table(["sampling", "ms a row"], [[name, f"{value:.2f}"] for name, value in record["sampling_ms"].items()]),
    ]


def _passes(summary: str, grid: Mapping[str, Mapping[str, float]]) -> list[str]:
    widths = list(next(iter(grid.values())))
    rows = [[length, *(f"{row[m]:.1f}" for m in widths)] for length, row in grid.items()]
    heads, rows = transposed(["tokens in the cache", *(f"m = {m}" for m in widths)], rows)
    return details(summary, table(heads, rows))


def _eight_over_one(record: Record) -> list[str]:
    rows = [
        [shown, *(f"{value:.2f}" for value in record[key].values())]
        for shown, key in (("float32", "eight_over_one"), ("4 bits", "int4_eight_over_one"))
    ]
    heads = [f"{length} in the cache" for length in record["eight_over_one"]]
    return ["A pass over 8 tokens over one over 1:", "", *table(["", *heads], rows), ""]


def _floor(floor: Record) -> list[str]:
    speeds = floor["bandwidth_gb_per_s"]
    heads = ["pass", "weights read, MB", "floor, ms, by copying", "floor, ms, by reading", "measured, ms"]
    rows, part_rows, parts = [], [], list(floor["float32"]["parts_ms"]["1"])
    for key, shown in _MODELS.items():
        one = floor[key]
        for m, measured in one["measured_ms"].items():
            name = f"{shown}, {m} token{'s' if m != '1' else ''}"
            limits = (one["floor_ms"]["copy"], one["floor_ms"]["read"])
            rows.append([name, f"{one['weights_mb']:.0f}", *(f"{ms:.1f}" for ms in limits), f"{measured:.1f}"])
            part_rows.append([name, *(f"{one['parts_ms'][m].get(part, 0.0):.1f}" for part in parts)])
    lines = [
        f"Copying a large tensor moves {speeds['copy']:.1f} GB/s (read and written), summing one reads "
        f"{speeds['read']:.1f} GB/s. The floor is the weights' size over either; "
        f"{floor['float32']['cache_length']} tokens in the cache.",
        "",
        *table(heads, rows),
        "",
        "Where the time of a pass goes, milliseconds:",
        "",
        *tables(["pass", *parts], part_rows),
    ]
    return details("What the memory's bandwidth would allow", lines)


def _rows(host_ms: Mapping[str, float], peer_ms: float) -> list[list[str]]:
    return [[name, f"{value:.2f}"] for name, value in {**host_ms, "transformers greedy": peer_ms}.items()]
