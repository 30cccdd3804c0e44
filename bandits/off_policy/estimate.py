"""Off-policy estimates of a policy's value from a log, with intervals and the log's own verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from bandits.data.logged_data import LoggedData
from bandits.off_policy.diagnostics import Diagnostics, diagnose
from bandits.off_policy.estimators import (
    SNIPS,
    DirectMethod,
    DoublyRobust,
    OffPolicyEstimator,
    SelfNormalisedDR,
)
from bandits.off_policy.estimators.ips import IPS
from bandits.off_policy.intervals import Bootstrap, DeltaMethod, Interval, IntervalMethod
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms
from bandits.policies.policy import Policy

ESTIMATORS: tuple[OffPolicyEstimator, ...] = (DirectMethod(), IPS(), SNIPS(), DoublyRobust(), SelfNormalisedDR())
INTERVALS: tuple[IntervalMethod, ...] = (Bootstrap(), DeltaMethod())

_ESTIMATED = "the propensities were estimated, not logged: no figure here shows how wrong they may be"


@dataclass(frozen=True, slots=True)
class OffPolicyEstimate:
    """What one estimator says a policy earns, and how far to trust it.

    Attributes:
        estimator: its name.
        value: estimated mean reward.
        intervals: one a method asked for, refusals included, in that order.
        diagnostics: of the log for this policy; its `problems` include those of this estimate.
        estimated_propensities: true where the log's propensities were estimated.
        notes: sentences that a reader of the estimate must know.
    """

    estimator: str
    value: float
    intervals: tuple[Interval, ...]
    diagnostics: Diagnostics
    estimated_propensities: bool
    notes: tuple[str, ...] = ()

    @property
    def interval(self) -> Interval | None:
        """Return the first interval that is defined."""
        return next((interval for interval in self.intervals if interval.refused is None), None)

    @property
    def supported(self) -> bool:
        """Return whether nothing speaks against the estimate."""
        return self.diagnostics.supported

    def to_dict(self) -> dict[str, object]:
        """Return everything as plain values for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        shown = self.interval or (self.intervals[0] if self.intervals else "no interval asked for")
        lines = [f"{self.estimator} {self.value:.4g} {shown}"]
        lines += [f"  not supported: {problem}" for problem in self.diagnostics.problems]
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def estimate(
    policy: Policy,
    log: LoggedData,
    *,
    estimators: Sequence[OffPolicyEstimator] = ESTIMATORS,
    intervals: Sequence[IntervalMethod] = INTERVALS,
    confidence: float = 0.95,
    reward_range: tuple[float, float] | None = None,
    max_weight: float | None = None,
) -> dict[str, OffPolicyEstimate]:
    """Estimate what `policy` would have earned on the log of another policy.

    Args:
        policy: fitted on other rows than those of `log`.
        log: decisions with propensities.
        estimators: by default the direct method, IPS, SNIPS, doubly robust and self-normalised doubly robust.
        intervals: by default the bootstrap over queries and the delta method.
        confidence: in (0, 1).
        reward_range: bounds that every reward keeps for certain; see `OffPolicyProblem`.
        max_weight: bound that every importance weight keeps for certain; see `OffPolicyProblem`.

    Returns:
        By name of estimator, in the order given.

    Raises:
        ValueError: if policy and log do not fit, or an estimator is not defined on this log.
    """
    problem = OffPolicyProblem.of(policy, log, reward_range=reward_range, max_weight=max_weight)
    return estimate_problem(problem, estimators, intervals, confidence)


def estimate_problem(
    problem: OffPolicyProblem,
    estimators: Sequence[OffPolicyEstimator] = ESTIMATORS,
    intervals: Sequence[IntervalMethod] = INTERVALS,
    confidence: float = 0.95,
) -> dict[str, OffPolicyEstimate]:
    """Do what `estimate` does where the evaluated policy's probabilities are at hand."""
    names = [estimator.name for estimator in estimators]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise ValueError(f"estimators must differ in name, got {doubles[0]!r} twice")
    diagnostics = diagnose(problem)
    estimated = problem.log.propensities_estimated
    all_terms = [_terms(estimator, problem) for estimator in estimators]
    found = [method.intervals(all_terms, confidence) for method in intervals]  # (methods, estimators)
    result = {}
    for index, (name, terms) in enumerate(zip(names, all_terms, strict=True)):
        own = tuple(of_method[index] for of_method in found)
        result[name] = OffPolicyEstimate(
            estimator=name,
            value=terms.value,
            intervals=own,
            diagnostics=replace(diagnostics, problems=diagnostics.problems + _zero_width(terms, own)),
            estimated_propensities=estimated,
            notes=terms.notes + ((_ESTIMATED,) if estimated else ()),
        )
    return result


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
    columns = terms.columns()
    count = int(np.count_nonzero(columns[:, 1] if terms.is_ratio else columns[:, 2]))
    missed = 1 - 0.05 ** (1 / count)
    return (
        f"the {' and '.join(empty)} interval has no width, because the {count} rows that count all agree: another "
        f"reward on up to {missed:.1%} of decisions would go unseen as easily as 1 in 20",
    )
