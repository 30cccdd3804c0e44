"""What was measured on a card, for the page that explains it; nothing where no card was measured."""

from collections.abc import Callable, Sequence
from pathlib import Path

from results_pages.parts import Record, bar_table, details, origin, read_record, table, tables, with_block


def with_gpu_tables(page: str, folder: Path) -> str:
    """Return the page on cards with the tables of gpu.json between its marks; as it is where there is no such file.

    Raises:
        ValueError: if there is one and the marks are missing.
    """
    record = read_record(folder / "gpu.json")
    if record is None:
        return page
    stages: dict[str, list[Record]] = {
        name: [row for row in rows if "error" not in row] for name, rows in record["stages"].items()
    }
    parts: list[tuple[str, str, Callable[[Sequence[Record]], list[str]]]] = [
        ("card", "The card", _card),
        ("speeds", "Tokens a second, by the median round also if a draft token were accepted with 0.6", _speeds),
        ("peers", "Beside transformers", _peers),
        ("passes", "Milliseconds of a pass: as the engine runs it, without graphs, as one graph alone", _passes),
        (
            "forms",
            "The same by form of the weights",
            _forms,
        ),
        ("products", "Products by rounded weights beside the CPU's", _products),
        ("kernels", "Kernels of a pass by the profiler", _kernels),
        ("attention", "One layer's attention over two rows", _attention),
        ("waits", "Waits of a round", _waits),
        ("texts", "Greedy texts beside the CPU's in float32", _texts),
    ]
    lines = [line for name, title, part in parts if stages.get(name) for line in details(title, part(stages[name]))]
    errors = [
        f"- {name}, {', '.join(str(value) for key, value in row.items() if key != 'error')}: {row['error']}"
        for name, rows in record["stages"].items()
        for row in rows
        if "error" in row
    ]
    lines += details("What could not be measured", errors)
    return with_block(page, "gpu", [*lines, *bar_table(record["bars"]), *origin(record)])


def _card(rows: Sequence[Record]) -> list[str]:
    names = {"tb_s": "copying, TB/s read and written", "eager_us": "a launch, µs", "graph_us": "a graph's node, µs"}
    return table(["figure", "measured"], [[names[key], f"{row[key]}"] for row in rows for key in names if key in row])


def _speeds(rows: Sequence[Record]) -> list[str]:
    heads = ["model, draft, sampling, batch, passes", "tokens/s", "ms a round", "tokens a round", "tokens/s at 0.6"]
    names = ("model", "draft", "sampling", "batch", "passes")
    figures = ("tokens_s", "round_ms", "acceptance_length", "tokens_s_at_0.6")
    return table(heads, [[_named(row, *names), *_cells(row, figures)] for row in rows])


def _peers(rows: Sequence[Record]) -> list[str]:
    return table(["model, mode", "tokens/s"], [[_named(row, "model", "mode"), f"{row['tokens_s']}"] for row in rows])


def _passes(rows: Sequence[Record]) -> list[str]:
    return _grid(rows, ("model", "batch", "width"), "held")


def _forms(rows: Sequence[Record]) -> list[str]:
    return _grid(rows, ("model", "form"), "width")


def _grid(rows: Sequence[Record], names: tuple[str, ...], across: str) -> list[str]:
    """Return a table with a column for each value of one setting; a cell without a figure is empty."""
    columns = sorted({row[across] for row in rows})
    cells: dict[str, dict[int, str]] = {}
    for row in rows:
        figures = " / ".join(_cells(row, ("forward_ms", "eager_ms", "graph_ms")))
        cells.setdefault(_named(row, *names), {})[row[across]] = figures
    shown = [[name, *(found.get(column, "") for column in columns)] for name, found in cells.items()]
    return tables([", ".join(names), *(f"{across} {column}" for column in columns)], shown)


def _products(rows: Sequence[Record]) -> list[str]:
    return table(["form", "relative difference"], [[row["form"], f"{row['relative_error']}"] for row in rows])


def _kernels(rows: Sequence[Record]) -> list[str]:
    shown = [
        [_named(row, "model", "width"), *_cells(row, ("launches", "counted")), "; ".join(row["attention"])]
        for row in rows
    ]
    return table(["model, tokens", "on the card", "counted without one", "attention"], shown)


def _attention(rows: Sequence[Record]) -> list[str]:
    shown = [
        [_named(row, "model", "width", "held"), *_cells(row, ("flash_ms", "masked_ms", "relative_difference"))]
        for row in rows
    ]
    return table(["model, new tokens, held", "flash, ms", "masks, ms", "relative difference"], shown)


def _waits(rows: Sequence[Record]) -> list[str]:
    shown = [[_named(row, "draft", "sampling", "batch"), *_cells(row, ("waits", "counted"))] for row in rows]
    return table(["draft, sampling, batch", "on the card", "counted without one"], shown)


def _texts(rows: Sequence[Record]) -> list[str]:
    kinds = ("identical", "tie", "different")
    shown = [[_named(row, "model", "dtype", "draft"), *_cells(row, kinds)] for row in rows]
    return table(["model, dtype, draft", "identical", "parted at a tie", "different"], shown)


def _named(row: Record, *names: str) -> str:
    return ", ".join(f"batch {row[name]}" if name == "batch" else str(row[name]) for name in names)


def _cells(row: Record, names: Sequence[str]) -> list[str]:
    return ["-" if row[name] is None else str(row[name]) for name in names]
