"""Match rates of the shipped drafts."""

from collections.abc import Callable
from pathlib import Path

from results_pages.parts import Record, missing, origin, page_head, page_text, read_record, table, two_digits


def drafts_page(folder: Path) -> str:
    """Match rates of the shipped drafts on every domain, from drafts.json."""
    lines = page_head(
        "Shipped drafts",
        "How often each shipped draft guesses the target's next token, on held-out prompts of each domain. "
        "[Distil a draft](../howto/distil.md) says how they were made.",
    )
    record = read_record(folder / "drafts.json")
    if record is None:
        return page_text(lines, missing("draftpick distill"))
    matrix = record["matrix"]
    domains = list(dict.fromkeys(domain for row in matrix.values() for domain in row))

    def cells(show: Callable[[Record], str]) -> list[list[str]]:
        return [
            [draft, *(show(row[domain]) if domain in row else "" for domain in domains)]
            for draft, row in matrix.items()
        ]

    lines += ["## Match rate", "", *table(["draft", *domains], cells(two_digits))]
    lines += ["", "Brackets: 95 % bootstrap intervals over texts.", ""]
    lines += ["## New tokens a round at draft length 4, replayed", ""]
    lines += [*table(["draft", *domains], cells(lambda cell: f"{cell['tokens_per_round']:.2f}")), ""]
    lines += ["## Held-out texts", ""]
    lines += [*table(["draft", *domains], cells(lambda cell: f"{cell['n_texts']}")), ""]
    return page_text(lines + origin(record))
