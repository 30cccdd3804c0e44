"""The demo's prompts, which are the project's own or the user's, and how some of them are picked."""

import json
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from arms import Query, read_queries


def demo_queries() -> tuple[list[Query], list[Query]]:
    """Return the training and the held-out prompts, 210 over seven domains."""
    lines = files("speculative").joinpath("demo/prompts.jsonl").read_text(encoding="utf-8").splitlines()
    sides: dict[str, list[Query]] = {"train": [], "test": []}
    for row in map(json.loads, lines):
        sides[row["split"]].append(Query(id=row["id"], prompt=row["prompt"], domain=row["domain"]))
    return sides["train"], sides["test"]


def own_queries(prompts: Path, held_out: Path | None = None) -> tuple[list[Query], list[Query]]:
    """Return training and held-out prompts from a user's files.

    Args:
        prompts: JSONL, as `read_queries` takes it.
        held_out: JSONL of prompts to test on; without it, of the prompts of each domain every other one is held out, in
            the order of their ids.

    Raises:
        ValueError: if a file is wrong, the two share a prompt or an id, or a side would be empty.
    """
    train = read_queries(prompts)
    if held_out is not None:
        test = read_queries(held_out)
        for what, shared in (
            ("prompt", {query.text for query in train} & {query.text for query in test}),
            ("id", {query.id for query in train} & {query.id for query in test}),
        ):
            if shared:
                raise ValueError(
                    f"{held_out} must share no {what} with {prompts}, got {len(shared)} shared, among them "
                    f"{min(shared)[:60]!r}"
                )
        return train, test
    by_domain: dict[str | None, list[Query]] = defaultdict(list)
    for query in sorted(train, key=lambda query: query.id):
        by_domain[query.domain].append(query)
    sides = [[query for group in by_domain.values() for query in group[start::2]] for start in (0, 1)]
    if not sides[1]:
        raise ValueError(f"{prompts} must hold two prompts of a domain at least, one to learn from and one to test on")
    return sides[0], sides[1]


def pick_evenly(queries: Sequence[Query], n: int) -> list[Query]:
    """Return `n` queries (all where there are fewer), taken in turn from each domain."""
    by_domain: dict[str | None, list[Query]] = defaultdict(list)
    for query in queries:
        by_domain[query.domain].append(query)
    longest = max(map(len, by_domain.values()))
    turns = [group[turn] for turn in range(longest) for group in by_domain.values() if turn < len(group)]
    return turns[:n]
