"""Off-policy estimates of a policy's value from a log, with intervals and the log's own diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

import numpy as np

from bandits.data.logged_data import LoggedData
from bandits.off_policy.diagnostics import Diagnostics, diagnose
from bandits.off_policy.estimators import (
    IPS,
    SNIPS,
    DirectMethod,
    DoublyRobust,
    OffPolicyEstimator,
    SelfNormalisedDR,
)
from bandits.off_policy.intervals import BootstrapInterval, DeltaMethod, Interval, IntervalMethod
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms
from bandits.policies.policy import Policy
from bandits.statistics.results import Results
from bandits.statistics.table import Table

DEFAULT_ESTIMATORS: tuple[OffPolicyEstimator, ...] = (
    DirectMethod(),
    IPS(),
    SNIPS(),
    DoublyRobust(),
    SelfNormalisedDR(),
)
DEFAULT_INTERVALS: tuple[IntervalMethod, ...] = (BootstrapInterval(), DeltaMethod())

_ESTIMATED = "the propensities were estimated, not logged: no figure here shows how wrong they may be"


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """What one estimator says a policy earns, and how far to trust it.

    Attributes:
        name: of the estimator.
        value: estimated mean reward.
        intervals: one a method asked for, refusals included, in that order.
        diagnostics: of the log for this policy; its `problems` include those of this estimate.
        estimated_propensities: true where the log's propensities were estimated.
        notes: sentences that a reader of the estimate must know.
    """

    name: str
    value: float
    intervals: tuple[Interval, ...]
    diagnostics: Diagnostics
    estimated_propensities: bool
    notes: tuple[str, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Return the first interval that is defined; (-inf, inf), which excludes nothing, where none is."""
        for interval in self.intervals:
            if interval.low is not None and interval.high is not None:
                return interval.low, interval.high
        return -inf, inf

    @property
    def supported(self) -> bool:
        """Return whether the log supports the estimate (no warnings)."""
        return self.diagnostics.supported

    def __str__(self) -> str:
        lines = [f"{self.name} {self.value:.4g} {self._shown_interval()}"]
        lines += [f"  not supported: {problem}" for problem in self.diagnostics.problems]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def _shown_interval(self) -> Interval | str:
        defined = [interval for interval in self.intervals if interval.refused is None]
        return next(iter([*defined, *self.intervals]), "no interval asked for")


@dataclass(frozen=True, slots=True, repr=False)
class OffPolicyEstimates(Results[OffPolicyEstimate]):
    """A row an estimator, each with its intervals and diagnostics.

    Attributes:
        rows: in the order in which estimators were given.
        n_rows: rows of the log.
        n_queries: queries of the log.
    """

    kind: ClassVar[str] = "off-policy estimate"

    rows: tuple[OffPolicyEstimate, ...]
    n_rows: int
    n_queries: int

    def table(self) -> Table:
        """Return one line an estimator, with the diagnostics below."""
        methods = dict.fromkeys(interval.kind for row in self.rows for interval in row.intervals)
        lines = []
        for row in self.rows:
            by_method = {interval.kind: interval for interval in row.intervals}
            lines.append((row.name, f"{row.value:.4g}", *(_cell(by_method[method]) for method in methods)))
        confidences = {interval.confidence for row in self.rows for interval in row.intervals}
        shown = "".join(f", {confidence:.0%} intervals" for confidence in sorted(confidences))
        return Table(
            title=f"{self.n_rows} logged decisions on {self.n_queries} queries{shown}",
            headings=("estimator", "value", *methods),
            lines=tuple(lines),
            remarks=tuple(self._remarks()),
        )

    def _remarks(self) -> list[str]:
        remarks = []
        for row in self.rows:
            refused = [str(interval) for interval in row.intervals if interval.refused is not None]
            remarks += [f"{row.name}: {said}" for said in (*row.notes, *refused)]
        problems = {problem: None for row in self.rows for problem in row.diagnostics.problems}
        remarks += [f"not supported: {problem}" for problem in problems]
        return remarks if problems else [*remarks, "The log supports these estimates."]


def _cell(interval: Interval) -> str:
    return "" if interval.low is None or interval.high is None else f"[{interval.low:.4g}, {interval.high:.4g}]"


def estimate(
    policy: Policy,
    log: LoggedData,
    *,
    estimators: Sequence[OffPolicyEstimator] = DEFAULT_ESTIMATORS,
    intervals: Sequence[IntervalMethod] = DEFAULT_INTERVALS,
    confidence: float = 0.95,
) -> OffPolicyEstimates:
    """Estimate what `policy` would have earned on the log of another policy.

    Where bounds of rewards or weights are known for certain, `EmpiricalBernstein` and `RejectionReplay` use them:
    `estimate_problem(OffPolicyProblem.of(policy, log, reward_range=..., max_weight=...))`.

    Args:
        policy: fitted on other rows than those of `log`.
        log: decisions with propensities.
        estimators: by default the direct method, IPS, SNIPS, doubly robust and self-normalised doubly robust.
        intervals: by default the bootstrap over queries and the delta method.
        confidence: in (0, 1).

    Returns:
        A row for each estimator, by its name: `estimate(policy, log)["SNIPS"].value`.

    Raises:
        ValueError: if policy and log do not fit, or an estimator is not defined on this log.
    """
    problem = OffPolicyProblem.of(policy, log)
    return estimate_problem(problem, estimators, intervals, confidence)


def estimate_problem(
    problem: OffPolicyProblem,
    estimators: Sequence[OffPolicyEstimator] = DEFAULT_ESTIMATORS,
    intervals: Sequence[IntervalMethod] = DEFAULT_INTERVALS,
    confidence: float = 0.95,
) -> OffPolicyEstimates:
    """Do what `estimate` does for a problem with bounds, or with probabilities that no policy here computes."""
    names = [estimator.name for estimator in estimators]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"estimators must differ in name, got {doubles[0]!r} twice")
    diagnostics = diagnose(problem)
    estimated = problem.log.propensities_estimated
    all_terms = [_terms(estimator, problem) for estimator in estimators]
    found = [method.intervals(all_terms, confidence) for method in intervals]  # (methods, estimators)
    rows = []
    for index, (name, terms) in enumerate(zip(names, all_terms, strict=True)):
        own = tuple(of_method[index] for of_method in found)
        rows.append(
            OffPolicyEstimate(
                name=name,
                value=terms.value,
                intervals=own,
                diagnostics=replace(diagnostics, problems=diagnostics.problems + _zero_width(terms, own)),
                estimated_propensities=estimated,
                notes=terms.notes + ((_ESTIMATED,) if estimated else ()),
            )
        )
    return OffPolicyEstimates(tuple(rows), diagnostics.n_rows, diagnostics.n_queries)


def _terms(estimator: OffPolicyEstimator, problem: OffPolicyProblem) -> Terms:
    try:
        return estimator.terms(problem)
    except ValueError as error:
        raise ValueError(f"{estimator.name}: {error}") from error


def _zero_width(terms: Terms, intervals: tuple[Interval, ...]) -> tuple[str, ...]:
    """Return the sentence that vetoes intervals without width: rows that agree do not make a certainty."""
    tolerance = 1e-9 * max(1.0, abs(terms.value))
    empty = [interval.kind for interval in intervals if interval.width is not None and interval.width <= tolerance]
    if not empty:
        return ()
    rows = terms.by_row()
    count = int(np.count_nonzero(rows.denominator if terms.is_ratio else rows.weight))
    missed = 1 - 0.05 ** (1 / count)
    return (
        f"the {' and '.join(empty)} interval has no width, because the {count} rows that count all agree: another "
        f"reward on up to {missed:.1%} of decisions would go unseen as easily as 1 in 20",
    )
