"""Prompts to learn from and prompts to measure on, with where they came from."""

import argparse
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from arms import Query, read_queries
from speculative.demo.queries import demo_queries, pick_evenly


@dataclass(frozen=True, slots=True)
class Prompts:
    """Disjoint prompts.

    Attributes:
        train: policies and stores of earlier outputs learn from these.
        test: measured.
        batch: measured in batches; none of `train`.
        source: the file, its hash and the counts.
    """

    train: Sequence[Query]
    test: Sequence[Query]
    batch: Sequence[Query]
    source: dict[str, object]


def load_prompts(options: argparse.Namespace) -> Prompts:
    """Read and divide the prompts that the command line names."""
    if options.prompts is None:
        train, held_out = demo_queries()
        content = files("speculative").joinpath("demo/prompts.jsonl").read_bytes()
        name = "the project's own (speculative/demo/prompts.jsonl)"
        held_out = pick_evenly(held_out, len(held_out))
    else:
        queries = read_queries(options.prompts)
        n_held_out = max(options.n_test, options.n_batch)
        held_out = pick_evenly(sorted(queries, key=lambda query: digest(query.id.encode())), n_held_out)
        chosen = {query.id for query in held_out}
        train = [query for query in queries if query.id not in chosen]
        content, name = options.prompts.read_bytes(), options.prompts.name
    train = pick_evenly(train, options.n_train)
    test, batch = held_out[: options.n_test], held_out[: options.n_batch]
    counts = {"n_train": len(train), "n_test": len(test), "n_batch": len(batch)}
    return Prompts(train, test, batch, {"file": name, "sha256": digest(content), **counts})


def digest(content: bytes) -> str:
    """Hash that orders and names."""
    return hashlib.sha256(content).hexdigest()
