"""How long models take to load, in how much memory, and what fewer bits cost in agreement and give in time."""

from collections.abc import Sequence
from pathlib import Path

from results_pages.parts import Record, bar_table, missing, origin, page_head, page_text, read_record, table


def loading_page(folder: Path) -> str:
    """Load time and memory, agreement and products: bench_loading.json, bench_quantised.json, bench_products.json."""
    lines = page_head(
        "Loading",
        "How long GGUF files take to load and how much memory, the first time (cold: the file is converted) and later "
        "(warm), and how often a file at its own bits has the best token of the same weights unrounded.",
    )
    loads = read_record(folder / "bench_loading.json")
    near = read_record(folder / "bench_quantised.json")
    lines += ["## Time and memory", ""]
    lines += missing("python examples/benchmarks/bench_loading.py") if loads is None else _loads(loads)
    lines += ["## Agreement with the unrounded weights", ""]
    lines += missing("python examples/benchmarks/bench_quantised.py") if near is None else _agreement(near)
    products = read_record(folder / "bench_products.json")
    lines += ["## Products at 16, 8 and 4 bits a weight", ""]
    lines += missing("python examples/benchmarks/bench_products.py") if products is None else _products(products)
    return page_text(lines)


SHOWN_ROWS = ("1", "4", "8", "16")


def _products(record: Record) -> list[str]:
    cells = record["milliseconds"]
    counts = [n for n in next(iter(cells.values())) if n in SHOWN_ROWS]
    rows = [[form, *(f"{row[n]:.1f}" for n in counts), f"{row['8'] / row['1']:.2f}"] for form, row in cells.items()]
    heads = ["milliseconds, by rows", *counts, "8 over 1"]
    note = (
        f"{record['settings'][0].upper()}{record['settings'][1:]}. Layers are not computed at 8 bits: "
        "rounding the rows takes part of what the weights save. Rows given at 8 bits, which no decoder has, show how "
        "much."
    )
    return [*table(heads, rows), "", note, "", *bar_table(record["bars"]), *origin(record), ""]


def _loads(record: Record) -> list[str]:
    before = {_key(row): row for row in record.get("before", [])}
    rows = [
        [
            f"{row['model']}, {row['form']}, {row['state']}",
            *_pair(before.get(_key(row)), row, "seconds"),
            *_pair(before.get(_key(row)), row, "peak_gib"),
            f"{row['kept_gib']:.2f}",
        ]
        for row in record["rows"]
    ]
    heads = ["file, form", "s before", "s now", "peak GiB before", "peak GiB now", "kept GiB"]
    note = (
        "Peak: of resident memory, pages of mapped files included. Kept: what the cache holds afterwards. Before: in "
        "the version that rounded weights of more than 4 bits to 4. "
        f"{record['load_average']} processes ran on average while the new figures were taken."
    )
    return [*table(heads, rows), "", note, "", *bar_table(record["bars"]), *origin(record), ""]


def _key(row: Record) -> tuple[str, str, str]:
    return row["model"], row["form"], row["state"]


def _pair(before: Record | None, now: Record, name: str) -> list[str]:
    return ["" if before is None else f"{before[name]:.1f}", f"{now[name]:.1f}"]


def _agreement(record: Record) -> list[str]:
    rows: Sequence[Sequence[str]] = [
        [
            f"{model}, {form}",
            f"{100 * row['same_best']:.2f} %",
            f"{100 * row['same_best_without_ties']:.2f} %" if "same_best_without_ties" in row else "-",
            f"{row['largest_lead_lost']:.3f}",
            f"{row['kl']:.5f}" if "kl" in row else "-",
            f"{row['nll']:.4f}",
        ]
        for model, measured in record["models"].items()
        for form, row in measured["rows"].items()
        if form != "dense"
    ]
    heads = ["file, form", "same best token", "same without near-ties", "largest lead lost", "KL", "mean NLL"]
    prompts = "; ".join(f"{model}: {_read(measured)}" for model, measured in record["models"].items())
    note = (
        "Positions are those of the dense model's greedy texts, in float32 where no other type is named. At a near-tie "
        "its two best logits lie within one spacing of bfloat16, which a pass of another width may swap too; -: not "
        "counted. The largest lead lost is by how much its best logit led the second where another token became the "
        "best. KL: divergence of its distribution from the dense model's, in nats, mean of the first 1,000 positions. "
        f'fp8 is `weights="fp8"` of a card, computed on the CPU. Prompts of {prompts}.'
    )
    return [*table(heads, rows), "", note, "", *bar_table(record["bars"]), *origin(record), ""]


def _read(measured: Record) -> str:
    """Say which prompts a model's texts answered, and how many positions they have."""
    n_positions = next(row["n"] for row in measured["rows"].values())
    return f"{measured['prompts']}, {n_positions} positions"
