"""Total seconds of candidates beside each other, with paired bootstrap intervals over queries."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from choice_bench.candidates import Kind


def times_as_fast(own: Float64, other: Float64, seed: int) -> Estimate:
    """Return total seconds of `other` over those of `own`, both (n,), with its interval over queries."""
    return Bootstrap(seed=seed).ratio_of_sums(other, own)


def table_row(
    name: str, kind: Kind, own: Float64, n_tokens: float, references: dict[str, Float64], seed: int
) -> dict[str, object]:
    """Return a line of the table, as JSON values.

    Args:
        name: of what chooses.
        kind: what it is.
        own: its seconds, (n,).
        n_tokens: new tokens of all queries.
        references: by the heading of their column, the seconds of what it is compared with.
        seed: of the bootstrap.
    """
    return {
        "name": name,
        "kind": kind,
        "seconds": float(own.sum()),
        "tokens_per_second": n_tokens / float(own.sum()),
        **_over(own, references, seed),
    }


def by_domain(
    own: Float64, references: dict[str, Float64], domains: Sequence[str | None], seed: int
) -> list[dict[str, object]]:
    """Return how many times as fast as each reference a candidate is in each domain, from seconds (n,)."""
    labels = np.array([str(domain) for domain in domains])
    rows: list[dict[str, object]] = []
    for domain in dict.fromkeys(labels.tolist()):
        inside = labels == domain
        inner = {heading: other[inside] for heading, other in references.items()}
        rows.append({"domain": domain, "n_queries": int(inside.sum()), **_over(own[inside], inner, seed)})
    return rows


def _over(own: Float64, references: dict[str, Float64], seed: int) -> dict[str, object]:
    return {f"over {heading}": asdict(times_as_fast(own, other, seed)) for heading, other in references.items()}
