"""What a round asks of a card, for the page that explains it."""

from pathlib import Path

from results_pages.parts import Record, missing, origin, read_record, table, with_block

_COMMAND = "python examples/benchmarks/bench_card.py"


def with_card_tables(page: str, folder: Path) -> str:
    """Return the page on cards with the tables of bench_card.json between its marks.

    Raises:
        ValueError: if the marks are missing.
    """
    record = read_record(folder / "bench_card.json")
    page = with_block(page, "rounds", missing(_COMMAND) if record is None else _rounds(record))
    return with_block(page, "passes", missing(_COMMAND) if record is None else [*_passes(record), *origin(record)])


def _rounds(record: Record) -> list[str]:
    before = {_key(row): row for row in record.get("before", [])}
    rows: dict[tuple[str, str], list[str]] = {}
    for row in record["rounds"]:
        cells = rows.setdefault((row["draft"], row["sampling"]), [f"{row['draft']}, {row['sampling']}"])
        earlier = before.get(_key(row))
        cells += [_pair(earlier, row, "waits"), _pair(earlier, row, "launches"), str(row["as_graphs"])]
    batches = sorted({row["batch"] for row in record["rounds"]})
    heads = [f"{figure}, batch {batch}" for batch in batches for figure in ("waits", "launches", "as graphs")]
    return table(["draft, sampling", *heads], list(rows.values()))


def _pair(before: Record | None, now: Record, figure: str) -> str:
    return str(now[figure]) if before is None else f"{before[figure]} → {now[figure]}"


def _key(row: Record) -> tuple[str, str, int]:
    return row["draft"], row["sampling"], row["batch"]


def _passes(record: Record) -> list[str]:
    rows: dict[tuple[str, int], list[str]] = {}
    for row in record["passes"]:
        cells = rows.setdefault((row["model"], row["batch"]), [f"{row['model']}, batch {row['batch']}"])
        cells.append(f"{row['launches']}; {row['floor_ms']:.2f} ms")
    widths = sorted({row["width"] for row in record["passes"]})
    return [*table(["model", *(f"{width} a row" for width in widths)], list(rows.values())), ""]
