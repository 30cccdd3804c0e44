"""Replayed seconds against measured ones: their error, and whether they put arms and policies in the same order."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from bandits import Estimate, FullInformationData
from bandits.checks import Float64
from choice_bench.candidates import Candidate, costs_of
from choice_bench.figures import times_as_fast
from choice_bench.sides import NO_DRAFT
from speculative.measuring.wall_clock import Run


@dataclass(frozen=True, slots=True)
class Clock:
    """Measured and replayed seconds of the same arms on the same queries.

    Attributes:
        rows: places of the queries in the held-out data.
        measured: (m, k) float64 seconds, of as many tokens as no draft wrote.
        replayed: (m, k) float64 seconds.
    """

    rows: Sequence[int]
    measured: Float64
    replayed: Float64

    @classmethod
    def of(cls, runs: Sequence[Run], test: FullInformationData) -> "Clock":
        """Bring runs and data together.

        Args:
            runs: of a wall-clock stage; modes that are no arms are passed over.
            test: held-out data.

        Raises:
            ValueError: if no query of the data ran with every arm.
        """
        found = {(run.query_id, run.mode): run for run in runs}
        ids = [str(query) for query in test.query_ids or ()]
        rows = [i for i, query in enumerate(ids) if all((query, arm) in found for arm in test.arm_names)]
        if not rows:
            raise ValueError(
                f"no held-out query was timed with every arm ({', '.join(test.arm_names)}): give the runs.json of a "
                "demo and that demo's own folders train and test"
            )
        measured = [[_scaled(found, ids[i], arm) for arm in test.arm_names] for i in rows]
        return cls(rows, np.array(measured), costs_of(test)[rows])


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
    plain = list(arm_names).index(NO_DRAFT)
    speeds = [each[:, [plain]] / each for each in (replayed, measured)]
    pairs = [_pair(clock, a, b, seed) for a, b in combinations(candidates, 2)]
    apart = [pair for pair in pairs if not pair[2].low <= 1 <= pair[2].high]
    swapped = [pair for pair in apart if (pair[2].value > 1) != (pair[3].value > 1)]
    return {
        "n_queries": len(clock.rows),
        "median_error_of_seconds": float(np.median(np.abs(replayed / measured - 1))),
        "median_error_of_speed": float(np.median(np.abs(speeds[0] / speeds[1] - 1))),
        "totals": {
            name: {"measured": float(measured[:, arm].sum()), "replayed": float(replayed[:, arm].sum())}
            for arm, name in enumerate(arm_names)
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
    a, b = (Candidate(each.name, each.kind, each.weights[clock.rows], each.choose_s) for each in (one, other))
    if a.seconds(clock.measured).sum() > b.seconds(clock.measured).sum():
        a, b = b, a
    real, said = (times_as_fast(a.seconds(costs), b.seconds(costs), seed) for costs in (clock.measured, clock.replayed))
    return a.name, b.name, real, said
