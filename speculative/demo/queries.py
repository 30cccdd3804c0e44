"""The demo's prompts, which are the project's own, and how some of them are picked."""

import json
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files

from arms import Query


def demo_queries() -> tuple[list[Query], list[Query]]:
    """Return the training and the held-out prompts, 210 over seven domains."""
    lines = files("speculative").joinpath("demo/prompts.jsonl").read_text(encoding="utf-8").splitlines()
    sides: dict[str, list[Query]] = {"train": [], "test": []}
    for row in map(json.loads, lines):
        sides[row["split"]].append(Query(id=row["id"], prompt=row["prompt"], domain=row["domain"]))
    return sides["train"], sides["test"]


def pick_evenly(queries: Sequence[Query], n: int) -> list[Query]:
    """Return `n` queries (all where there are fewer), taken in turn from each domain."""
    by_domain: dict[str | None, list[Query]] = defaultdict(list)
    for query in queries:
        by_domain[query.domain].append(query)
    longest = max(map(len, by_domain.values()))
    turns = [group[turn] for turn in range(longest) for group in by_domain.values() if turn < len(group)]
    return turns[:n]
