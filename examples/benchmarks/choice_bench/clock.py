"""Replayed seconds against measured ones: their error, whether they order arms and policies alike, and own runs."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations

import numpy as np

from bandits import Estimate, FullInformationData
from bandits.checks import Float64
from choice_bench.candidates import Candidate, costs_of
from choice_bench.figures import times_as_fast
from choice_bench.sides import NO_DRAFT
from speculative.measuring.wall_clock import Run, speed_ratio, tokens_per_second


@dataclass(frozen=True, slots=True)
class Clock:
    """Measured and replayed seconds of the same arms on the same queries.

    Attributes:
        arms: places of the arms that were timed.
        rows: places of the queries in the held-out data.
        measured: (m, k) float64 seconds, of as many tokens as no draft wrote.
        replayed: (m, k) float64 seconds.
    """

    arms: Sequence[int]
    rows: Sequence[int]
    measured: Float64
    replayed: Float64

    @classmethod
    def of(cls, runs: Sequence[Run], test: FullInformationData) -> "Clock":
        """Bring runs and data together.

        Args:
            runs: of a wall-clock stage, no draft among them; modes that are no arms are passed over.
            test: held-out data.

        Raises:
            ValueError: if no query of the data ran with no draft and every other arm that was timed.
        """
        found = {(run.query_id, run.mode): run for run in runs}
        ids = [str(query) for query in test.query_ids or ()]
        timed = {mode for query, mode in found if query in ids}
        arms = [i for i, name in enumerate(test.arm_names) if name in timed]
        names = [test.arm_names[i] for i in arms]
        rows = [i for i, query in enumerate(ids) if all((query, arm) in found for arm in names)]
        if not rows or NO_DRAFT not in names:
            raise ValueError(
                f"no held-out query was timed with {NO_DRAFT} and every other arm of the runs "
                f"({', '.join(names) or 'none'}): give the runs.json of time_choice.py, or of a demo, and the folders "
                "train and test that belong to it"
            )
        measured = [[_scaled(found, ids[i], arm) for arm in names] for i in rows]
        return cls(arms, rows, np.array(measured), costs_of(test)[np.ix_(rows, arms)])

    def of_timed_arms(self, candidate: Candidate) -> Candidate | None:
        """Return a candidate on these queries and arms; None where it may take an arm that was not timed."""
        weights = candidate.weights[self.rows]
        own = weights[:, self.arms]
        if own.sum() < weights.sum() - 1e-9:
            return None
        return replace(candidate, weights=own)


def _scaled(found: dict[tuple[str, str], Run], query: str, arm: str) -> float:
    run, plain = found[query, arm], found[query, NO_DRAFT]
    return run.seconds * len(plain.token_ids) / max(1, len(run.token_ids))


def against_clock(
    clock: Clock, candidates: Sequence[Candidate], arm_names: Sequence[str], seed: int
) -> dict[str, object]:
    """Return errors of the replay, and the pairs that it puts in another order than the clock does.

    Args:
        clock: both kinds of seconds.
        candidates: arms and policies, with weights on all held-out queries.
        arm_names: of the columns.
        seed: of the bootstraps.
    """
    measured, replayed = clock.measured, clock.replayed
    names = [arm_names[i] for i in clock.arms]
    plain = names.index(NO_DRAFT)
    ranked = [one for candidate in candidates if (one := clock.of_timed_arms(candidate)) is not None]
    speeds = [each[:, [plain]] / each for each in (replayed, measured)]
    pairs = [_pair(clock, a, b, seed) for a, b in combinations(ranked, 2)]
    apart = [pair for pair in pairs if not pair[2].low <= 1 <= pair[2].high]
    swapped = [pair for pair in apart if (pair[2].value > 1) != (pair[3].value > 1)]
    return {
        "n_queries": len(clock.rows),
        "median_error_of_seconds": float(np.median(np.abs(replayed / measured - 1))),
        "median_error_of_speed": float(np.median(np.abs(speeds[0] / speeds[1] - 1))),
        "totals": {
            name: {"measured": float(measured[:, arm].sum()), "replayed": float(replayed[:, arm].sum())}
            for arm, name in enumerate(names)
        },
        "n_pairs": len(pairs),
        "n_pairs_apart": len(apart),
        "swapped": [
            {"faster": a, "slower": b, "measured": asdict(real), "replayed": asdict(said)}
            for a, b, real, said in swapped
        ],
    }


def _pair(clock: Clock, one: Candidate, other: Candidate, seed: int) -> tuple[str, str, Estimate, Estimate]:
    """Return two names, the faster in wall-clock time first, and how many times as fast: measured and replayed."""
    a, b = one, other
    if a.seconds(clock.measured).sum() > b.seconds(clock.measured).sum():
        a, b = b, a
    real, said = (times_as_fast(a.seconds(costs), b.seconds(costs), seed) for costs in (clock.measured, clock.replayed))
    return a.name, b.name, real, said


def own_runs(
    runs: Sequence[Run], references: Sequence[str], query_ids: Collection[str], seed: int
) -> list[dict[str, object]]:
    """Return each mode's speed on held-out queries, over that of some modes, and how many texts are no draft's.

    Args:
        runs: of a wall-clock stage.
        references: modes to divide by; those that were not timed are left out.
        query_ids: of the held-out queries.
        seed: of the bootstraps.
    """
    by_mode: dict[str, list[Run]] = {}
    for run in runs:
        if run.query_id in query_ids:
            by_mode.setdefault(run.mode, []).append(run)
    plain = {run.query_id: run.token_ids for run in by_mode.get(NO_DRAFT, [])}
    return [
        {
            "mode": mode,
            "tokens_per_second": tokens_per_second(own),
            "n_queries": len(own),
            "n_texts_of_no_draft": sum(plain.get(run.query_id) == run.token_ids for run in own),
            **{f"over {name}": asdict(speed_ratio(own, by_mode[name], seed)) for name in references if name in by_mode},
        }
        for mode, own in by_mode.items()
    ]
