"""Match rates of the shipped drafts."""

from collections.abc import Callable, Mapping
from pathlib import Path

from results_pages.parts import Record, details, missing, origin, page_head, page_text, read_record, table, two_digits


def drafts_page(folder: Path) -> str:
    """Match rates of the shipped drafts on every domain, from drafts.json."""
    lines = page_head(
        "Shipped drafts",
        "How often each shipped draft proposes the target's next token, on held-out prompts of each domain. "
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

    lines += [*(f"- {line}" for line in _summary(matrix)), ""]
    lines += ["## Share of tokens proposed right", "", *table(["draft", *domains], cells(two_digits))]
    lines += ["", "Brackets: 95 % bootstrap intervals over texts.", ""]
    lines += ["## New tokens a round at draft length 4, replayed", ""]
    lines += [*table(["draft", *domains], cells(lambda cell: f"{cell['tokens_per_round']:.2f}")), ""]
    lines += details("Held-out texts", table(["draft", *domains], cells(lambda cell: f"{cell['n_texts']}")))
    return page_text(lines + origin(record))


def _summary(matrix: Mapping[str, Mapping[str, Record]]) -> list[str]:
    """Return one sentence a draft: where it agrees with the target most, and what that brings a round."""
    lines = []
    for draft, row in matrix.items():
        domain = max(row, key=lambda name: float(row[name]["value"]))
        cell = row[domain]
        lines.append(
            f"**{draft}** proposes the target's next token in {two_digits(cell)} of the places on {domain}, so a round "
            f"of four draft tokens brings {cell['tokens_per_round']:.2f} new tokens."
        )
    return lines
