"""Off-policy estimates of each segment of a log, with a correction for looking at many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from bandits.checks import labels, share
from bandits.data.logged_data import LoggedData
from bandits.off_policy.diagnostics import diagnose
from bandits.off_policy.estimate import DEFAULT_INTERVALS, OffPolicyEstimate, estimate_problem
from bandits.off_policy.estimators import OffPolicyEstimator, make_estimator
from bandits.off_policy.intervals import IntervalMethod
from bandits.off_policy.named import make_interval
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.policy import Policy
from bandits.statistics.results import Results
from bandits.statistics.table import Table

NO_SEGMENT = "(none)"


@dataclass(frozen=True, slots=True, repr=False)
class SegmentEstimates(Results[OffPolicyEstimate]):
    """A row a segment, by its label, and what each is worth under one policy.

    Attributes:
        rows: in the order of first appearance.
        estimator: by which.
        confidence: with which no interval of all segments misses.
        n_rows: rows of each segment.
    """

    kind: ClassVar[str] = "off-policy estimate by segment"

    rows: tuple[OffPolicyEstimate, ...]
    estimator: str
    confidence: float
    n_rows: dict[str, int]

    def table(self) -> Table:
        """Return one line a segment."""
        lines = []
        for row in self.rows:
            interval = next((one for one in row.intervals if one.refused is None), None)
            shown = "none" if interval is None else f"[{interval.low:.4g}, {interval.high:.4g}]"
            value = "none" if row.value is None else f"{row.value:.4g}"
            lines.append((row.name, f"{self.n_rows[row.name]:,}", value, shown))
        remarks = [f"{row.name}: no estimate: {row.refused}" for row in self.rows if row.refused is not None]
        remarks += [f"{row.name}: {problem}" for row in self.rows for problem in row.diagnostics.problems]
        return Table(
            title=f"{self.estimator} by segment, intervals that all hold at once with {self.confidence:.0%}",
            headings=("segment", "rows", "value", "interval"),
            lines=tuple(lines),
            remarks=(f"Bonferroni's correction for {len(self.rows)} segments", *remarks),
        )


def estimate_by_segment(
    policy: Policy,
    log: LoggedData,
    *,
    segments: Sequence[str | None] | None = None,
    estimator: OffPolicyEstimator | str = "doubly_robust",
    intervals: Sequence[IntervalMethod | str] = DEFAULT_INTERVALS,
    confidence: float = 0.95,
) -> SegmentEstimates:
    """Estimate what `policy` would have earned on each segment of a log, its rows alone.

    Each interval has the confidence 1 - (1 - confidence) / segments, so that with `confidence` none of them misses
    (Bonferroni). A segment whose rows cannot support an estimate says why in its row.

    Args:
        policy: fitted on other rows than those of `log`.
        log: decisions with propensities.
        segments: a label a row; None takes the log's `domains`.
        estimator: one, or its name.
        intervals: as in `estimate`.
        confidence: in (0, 1), of all intervals together.

    Raises:
        ValueError: if there are no labels, a name is unknown, or policy and log do not fit.
    """
    share(confidence, "confidence")
    given = labels(log.domains if segments is None else segments, "segments", len(log))
    if given is None:
        raise ValueError("segments must be a label a row: the log has no domains, so pass segments=")
    problem = OffPolicyProblem.of(policy, log)
    one = make_estimator(estimator) if isinstance(estimator, str) else estimator
    methods = [make_interval(method) if isinstance(method, str) else method for method in intervals]
    named = np.array([NO_SEGMENT if label is None else label for label in given])
    names = list(dict.fromkeys(named.tolist()))
    level = 1 - (1 - confidence) / len(names)
    rows = [_row(problem, named == name, name, one, methods, level) for name in names]
    counts = {name: int((named == name).sum()) for name in names}
    return SegmentEstimates(tuple(rows), one.name, confidence, counts)


def _row(
    problem: OffPolicyProblem,
    of_segment: np.ndarray,
    name: str,
    estimator: OffPolicyEstimator,
    intervals: Sequence[IntervalMethod],
    level: float,
) -> OffPolicyEstimate:
    own = OffPolicyProblem(problem.log.subset(np.flatnonzero(of_segment)), problem.probabilities[of_segment])
    try:
        found = estimate_problem(own, (estimator,), intervals, level).rows[0]
    except ValueError as error:
        estimated = own.log.propensities_estimated
        return OffPolicyEstimate(name, None, (), diagnose(own), estimated, refused=str(error))
    return replace(found, name=name)
