"""What a report says in sentences: what its figures rest on, and what the data cannot support."""

from __future__ import annotations

from bandits.evaluation.comparison import UNSUPPORTED, Comparison
from bandits.evaluation.segments import MIN_QUERIES

_EXACT = "exact"


def basis(comparison: Comparison) -> list[str]:
    """Say how the figures were made, a sentence a fact."""
    first, n_seeds = comparison.rows[0].estimator, len(comparison.seeds)
    own = [row for row in comparison if row.estimator == first and row.effective_sample_size is not None]
    least = min(own, key=lambda row: row.effective_sample_size or 0.0, default=None)
    found = [
        f"Values are exact: {comparison.n_rows - comparison.n_left_out} rows hold every arm's reward."
        if first == _EXACT
        else f"Values are off-policy estimates from a log of {comparison.n_rows} decisions; the pictures below "
        f"the table show those of {first}.",
        f"Policies learned from {comparison.learned_from}.",
        f"{'One seed' if n_seeds == 1 else f'Each of {n_seeds} seeds'} divided {comparison.n_queries} queries: "
        f"{comparison.test_share:.0%} were tested, the rest trained on.",
        f"Intervals are of {comparison.confidence:.0%}, from {comparison.n_bootstrap} resamples of seeds and queries; "
        "they do not cover that another data set might be trained on.",
    ]
    if least is not None:
        found.append(
            f"A seed's test log is worth at least {least.effective_sample_size:.0f} decisions of each policy, the "
            f"fewest of {least.name}."
        )
    if comparison.n_left_out:
        found.append(f"{comparison.n_left_out} rows without every arm's reward were trained on but not scored.")
    if comparison.conclusion.n_policies > 1:
        found.append(
            f"The best of {comparison.conclusion.n_policies} policies is picked on the rows that it is scored "
            "on, which flatters it a little."
        )
    return [*found, *(note for note in comparison.notes if UNSUPPORTED not in note)]


def limits(comparison: Comparison) -> list[str]:
    """Say what the data cannot support; always something, if only that nothing was found."""
    found = [note for note in comparison.notes if UNSUPPORTED in note]
    found += [f"{row.name}, {row.estimator}: no estimate: {row.reason}" for row in comparison.refused]
    alike = _alike(comparison)
    if alike:
        found.append(f"No difference from {comparison.baseline} can be told for {', '.join(alike)}.")
    if all(row.cost is None for row in comparison):
        found.append("The data hold no costs, so nothing is said of what quality costs.")
    if not comparison.segments:
        found.append(
            "There is no comparison by segment here: a policy may gain on one kind of query and lose on another."
        )
    else:
        found.append(f"A segment with fewer than {MIN_QUERIES} tested queries is not shown: no interval would hold.")
    if not comparison.conclusion.supported:
        found.insert(0, "The conclusion: the log cannot support it.")
    elif comparison.rows[0].estimator != _EXACT:
        found.append("Of the conclusion: no diagnostic speaks against what this log says of it.")
    return found


def _alike(comparison: Comparison) -> list[str]:
    """Return the policies, by the first estimator, whose difference from the baseline may be 0."""
    first = comparison.rows[0].estimator
    return [
        row.name
        for row in comparison
        if row.kind == "policy" and row.estimator == first and row.name != comparison.baseline
        if row.difference is not None and row.difference.low <= 0 <= row.difference.high
    ]
