"""Off-policy estimates of a policy's value from a log, with intervals and the log's own diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

import numpy as np

from bandits.data.data_stream import DataStream
from bandits.data.logged_data import LoggedData
from bandits.off_policy.diagnostics import Diagnostics, diagnose
from bandits.off_policy.estimators import (
    IPS,
    SNIPS,
    DirectMethod,
    DoublyRobust,
    OffPolicyEstimator,
    SelfNormalisedDR,
    make_estimator,
)
from bandits.off_policy.intervals import NO_WIDTH, DeltaMethod, Interval, IntervalMethod, no_width
from bandits.off_policy.named import make_interval
from bandits.off_policy.problem import Bounds, OffPolicyProblem
from bandits.off_policy.streamed import AskedTerms, streamed_terms
from bandits.off_policy.terms import Terms
from bandits.policies.policy import Policy
from bandits.statistics.results import Results
from bandits.statistics.table import Table

DEFAULT_ESTIMATORS: tuple[OffPolicyEstimator, ...] = (
    DoublyRobust(),
    SelfNormalisedDR(),
    SNIPS(),
    IPS(),
    DirectMethod(),
)
DEFAULT_INTERVALS: tuple[IntervalMethod, ...] = (DeltaMethod(),)

_ESTIMATED = "the propensities were estimated, not logged: no figure here shows how wrong they may be"


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """What one estimator says a policy earns, and how far to trust it.

    Attributes:
        name: of the estimator.
        value: estimated mean reward; None where the estimator is not defined on this log.
        intervals: one a method asked for, refusals included, in that order.
        diagnostics: of the log for this policy; its `problems` include those of this estimate.
        estimated_propensities: true where the log's propensities were estimated.
        notes: sentences that a reader of the estimate must know.
        refused: why the estimator is not defined on this log; None where it is.
    """

    name: str
    value: float | None
    intervals: tuple[Interval, ...]
    diagnostics: Diagnostics
    estimated_propensities: bool
    notes: tuple[str, ...] = ()
    refused: str | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """Return the first interval that is defined; (-inf, inf), which excludes nothing, where none is."""
        for interval in self.intervals:
            if interval.low is not None and interval.high is not None:
                return interval.low, interval.high
        return -inf, inf

    @property
    def low(self) -> float:
        """Return the lower bound of `interval`."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """Return the upper bound of `interval`."""
        return self.interval[1]

    @property
    def supported(self) -> bool:
        """Return whether the log supports the estimate (no warnings)."""
        return self.diagnostics.supported

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: no estimate: {self.refused}"
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
            value = "none" if row.value is None else f"{row.value:.4g}"
            lines.append((row.name, value, *(_cell(by_method.get(method)) for method in methods)))
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
            said = [*row.notes, *(str(interval) for interval in row.intervals if interval.refused is not None)]
            if row.refused is not None:
                said.insert(0, f"no estimate: {row.refused}")
            remarks += [f"{row.name}: {sentence}" for sentence in said]
        problems = {problem: None for row in self.rows for problem in row.diagnostics.problems}
        remarks += [f"not supported: {problem}" for problem in problems]
        return remarks if problems else [*remarks, "The log supports these estimates."]


def _cell(interval: Interval | None) -> str:
    if interval is None or interval.low is None or interval.high is None:
        return "none"
    return f"[{interval.low:.4g}, {interval.high:.4g}]"


def estimate(
    policy: Policy,
    log: LoggedData | DataStream[LoggedData],
    *,
    estimators: Sequence[OffPolicyEstimator | str] = DEFAULT_ESTIMATORS,
    intervals: Sequence[IntervalMethod | str] = DEFAULT_INTERVALS,
    confidence: float = 0.95,
    bounds: Bounds | None = None,
) -> OffPolicyEstimates:
    """Estimate what `policy` would have earned on the log of another policy.

    A stream, `LoggedData.stream(folder, 65_536)`, is estimated on batch by batch, in memory that does not grow with the
    log: a reward model is fitted to each batch (of at least 10,000 rows), and intervals are made of 10,000 groups of
    queries. Estimators that need the whole log at once are refused there, and nothing is said of arms that came late.

    Args:
        policy: fitted on other rows than those of `log`.
        log: decisions with propensities, in memory or streamed.
        estimators: by default doubly robust, self-normalised doubly robust, SNIPS, IPS and the direct method, the one
            to trust most first. A text is made by `make_estimator`: "clipped_ips(max_weight=20)".
        intervals: by default the delta method. A text is made by `make_interval`: "bootstrap(n_resamples=500)".
        confidence: in (0, 1).
        bounds: what every possible reward keeps (no interval leaves it), and what every possible weight keeps: 1 over
            the smallest probability that the logging policy gives an arm. `EmpiricalBernstein` and `Anytime` need both.

    Returns:
        A row for each estimator, by its name: `estimate(policy, log)["SNIPS"].value`.

    Raises:
        ValueError: if policy and log do not fit, or no estimator is defined on this log. One that is not defined says
            why in its row.
    """
    if not isinstance(policy, Policy):
        raise TypeError(f"policy must be one Policy, got {policy!r}: rows are of its estimators")
    known = bounds or Bounds()
    if isinstance(log, DataStream):
        made, methods = _made(estimators, intervals)
        found = streamed_terms(policy, log, made, known)
        return _estimates(made, methods, found, confidence)
    problem = OffPolicyProblem.of(policy, log, reward_range=known.reward_range, max_weight=known.max_weight)
    return estimate_problem(problem, estimators, intervals, confidence)


def estimate_problem(
    problem: OffPolicyProblem,
    estimators: Sequence[OffPolicyEstimator | str] = DEFAULT_ESTIMATORS,
    intervals: Sequence[IntervalMethod | str] = DEFAULT_INTERVALS,
    confidence: float = 0.95,
) -> OffPolicyEstimates:
    """Do what `estimate` does for a problem of probabilities that no policy here computes."""
    made, methods = _made(estimators, intervals)
    found = [_terms(estimator, problem) for estimator in made]
    return _estimates(
        made, methods, AskedTerms(found, diagnose(problem), problem.log.propensities_estimated), confidence
    )


def _made(
    estimators: Sequence[OffPolicyEstimator | str], intervals: Sequence[IntervalMethod | str]
) -> tuple[list[OffPolicyEstimator], list[IntervalMethod]]:
    made = [make_estimator(one) if isinstance(one, str) else one for one in estimators]
    names = [estimator.name for estimator in made]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"estimators must differ in name, got {doubles[0]!r} twice")
    return made, [make_interval(one) if isinstance(one, str) else one for one in intervals]


def _estimates(
    made: Sequence[OffPolicyEstimator], methods: Sequence[IntervalMethod], asked: AskedTerms, confidence: float
) -> OffPolicyEstimates:
    names, diagnostics = [estimator.name for estimator in made], asked.diagnostics
    defined = [terms for terms in asked.terms if isinstance(terms, Terms)]
    if made and not defined:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in zip(names, asked.terms, strict=True))
        raise ValueError(f"no estimate is defined on this log: {reasons}")
    by_method = [_intervals(method, defined, confidence, diagnostics) for method in methods]
    own = iter([tuple(of_method[place] for of_method in by_method) for place in range(len(defined))])
    rows = [
        OffPolicyEstimate(name, None, (), diagnostics, asked.estimated, refused=terms)
        if isinstance(terms, str)
        else _row(name, terms, next(own), diagnostics, asked.estimated)
        for name, terms in zip(names, asked.terms, strict=True)
    ]
    return OffPolicyEstimates(tuple(rows), diagnostics.n_rows, diagnostics.n_queries)


def _terms(estimator: OffPolicyEstimator, problem: OffPolicyProblem) -> Terms | str:
    """Return the terms, or why there are none."""
    try:
        return estimator.terms(problem)
    except ValueError as error:
        return str(error)


def _intervals(
    method: IntervalMethod, many: Sequence[Terms], confidence: float, diagnostics: Diagnostics
) -> list[Interval]:
    found = method.intervals(many, confidence)
    reason = diagnostics.too_thin if method.approximate else None
    if diagnostics.n_queries < method.least_queries:
        reason = f"it holds from {method.least_queries} queries on, and the log has {diagnostics.n_queries}"
    if reason is None:
        return list(found)
    thin = Interval(method.kind, confidence, None, None, reason)
    return [thin if interval.refused is None else interval for interval in found]


def _row(
    name: str, terms: Terms, intervals: tuple[Interval, ...], diagnostics: Diagnostics, estimated: bool
) -> OffPolicyEstimate:
    value, notes = terms.value, list(terms.notes)
    if terms.reward_range is not None and not terms.reward_range[0] <= value <= terms.reward_range[1]:
        notes.append("the estimate lies outside reward_range, where no policy's value can: a few large weights decide")
    if estimated:
        notes.append(_ESTIMATED)
    if np.abs(terms.influence).max() <= NO_WIDTH * max(1.0, abs(value)):
        veto = f"any interval is refused: {no_width(terms)}"
        diagnostics = replace(diagnostics, problems=(*diagnostics.problems, veto))
    return OffPolicyEstimate(name, value, intervals, diagnostics, estimated, tuple(notes))
