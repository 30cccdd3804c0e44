"""Total seconds of candidates beside each other, with paired bootstrap intervals over queries."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from choice_bench.candidates import Candidate


def times_as_fast(own: Float64, other: Float64, seed: int) -> Estimate:
    """Return total seconds of `other` over those of `own`, both (n,), with its interval over queries."""
    bootstrap = Bootstrap(seed=seed)
    sums = bootstrap.sums(np.stack([other, own], axis=1))
    return bootstrap.estimate(sums[:, 0] / sums[:, 1])


def candidate_row(
    candidate: Candidate, costs: Float64, n_tokens: float, references: dict[str, Candidate], seed: int
) -> dict[str, object]:
    """Return a candidate's line of the table, as JSON values.

    Args:
        candidate: what chooses.
        costs: seconds, (n, k).
        n_tokens: new tokens of all queries.
        references: by the heading of their column, what it is compared with.
        seed: of the bootstrap.
    """
    own = candidate.seconds(costs)
    return {
        "name": candidate.name,
        "kind": candidate.kind,
        "seconds": float(own.sum()),
        "tokens_per_second": n_tokens / float(own.sum()),
        "choose_ms": candidate.choose_s * 1e3,
        **{
            f"over {heading}": asdict(times_as_fast(own, other.seconds(costs), seed))
            for heading, other in references.items()
        },
    }


def by_domain(
    candidate: Candidate, references: dict[str, Candidate], costs: Float64, domains: Sequence[str | None], seed: int
) -> list[dict[str, object]]:
    """Return how many times as fast as each reference a candidate is in each domain."""
    own, labels = candidate.seconds(costs), np.array([str(domain) for domain in domains])
    rows: list[dict[str, object]] = []
    for domain in dict.fromkeys(labels.tolist()):
        inside = labels == domain
        figures = {
            f"over {heading}": asdict(times_as_fast(own[inside], other.seconds(costs)[inside], seed))
            for heading, other in references.items()
        }
        rows.append({"domain": domain, "n_queries": int(inside.sum()), **figures})
    return rows
