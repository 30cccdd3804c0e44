"""Match rates of the shipped drafts."""

from collections.abc import Callable, Mapping
from pathlib import Path

from results_pages.parts import (
    Record,
    bar_table,
    details,
    missing,
    origin,
    page_head,
    page_text,
    read_record,
    table,
    two_digits,
)


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
    return page_text([*lines, *_head(folder), *_domain_heads(folder), *origin(record)])


def _head(folder: Path) -> list[str]:
    """Return the section on a distilled head, from feature_head.json."""
    lines = ["## A head on the target's states, beside them", ""]
    record = read_record(folder / "feature_head.json")
    if record is None:
        return lines + missing("python examples/benchmarks/bench_feature_head.py --out FOLDER")
    matrix, metrics = record["matrix"], record["metrics"]
    domains, costs = list(matrix["head"]), record.get("costs")
    rows = [
        [draft, *(f"{two_digits(row[domain])}; {row[domain]['tokens_per_round']:.2f}" for domain in domains)]
        for draft, row in matrix.items()
    ]
    lines += [
        f"One head for both domains, distilled from {metrics['n_train_tokens']:,} tokens of the target in "
        f"{metrics['settings']['n_epochs']} epochs, {record['megabytes']:.1f} MB; it is not shipped. Each cell: share "
        "of tokens proposed right, then new tokens a round at draft length 4.",
        "",
        *table(["draft", *domains], rows),
        "",
    ]
    if costs is not None:
        times = [[draft, f"{1000 * costs[draft]['token_s']:.2f}"] for draft in matrix]
        lines += [
            f"A plain step takes {1000 * record['plain_step_s']:.1f} ms with one thread; noise {record['noise']:.0%}.",
            "",
            *table(["draft", "ms a draft token"], times),
            "",
        ]
    return lines + origin(record, "Where the head's figures come from")


def _domain_heads(folder: Path) -> list[str]:
    """Return the section on heads for several domains of a large target, from domain_heads.json."""
    lines = ["## Heads for the domains of a large target", ""]
    record = read_record(folder / "domain_heads.json")
    if record is None:
        return lines + missing("python examples/benchmarks/bench_domain_heads.py TARGET TRAIN HELD_OUT")
    domains = list(dict.fromkeys(domain for row in record["matrix"].values() for domain in row))
    rows = [
        [name, *(f"{two_digits(row[domain])}; {row[domain]['tokens_per_round']:.2f}" for domain in domains)]
        for name, row in record["matrix"].items()
    ]
    held_out = ", ".join(
        f"{one['n_texts']} of {domain}" for domain, one in next(iter(record["matrix"].values())).items()
    )
    lines += [
        f"Heads of {record['target']}, distilled from its own text; they are not shipped. Each cell: share of tokens "
        "proposed right on held-out prompts, with a 95 % interval over texts, then new tokens a round at draft length "
        f"4. Held-out texts: {held_out}.",
        "",
        *table(["head", *domains], rows),
        "",
        *_origin_of_heads(record),
    ]
    return [*lines, *bar_table(record["bars"]), *origin(record, "Where these heads' figures come from")]


_LAST_LAYER = "the target's last layer"


def _origin_of_heads(record: Record) -> list[str]:
    """Return what heads were made from, and what more text gave."""
    made = [
        [
            name,
            head["settings"]["start"] or _LAST_LAYER,
            f"{head['n_train_tokens']:,}",
            f"{head['settings']['n_epochs']}",
            f"{head['megabytes']:.0f}",
        ]
        for name, head in record["heads"].items()
    ]
    points = [
        [
            one["name"],
            one["begun_from"] or _LAST_LAYER,
            f"{one['n_train_tokens']:,}",
            two_digits(one),
            f"{one['tokens_per_round']:.2f}",
        ]
        for one in record["curve"]
    ]
    return [
        "What each was made from:",
        "",
        *table(["head", "begun from", "tokens of the target", "passes", "MB"], made),
        "",
        "What more text gives a generalist, on the held-out texts of all domains:",
        "",
        *table(["head", "begun from", "tokens of the target", "share proposed right", "tokens a round"], points),
        "",
    ]


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
