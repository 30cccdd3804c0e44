"""What other policies would have earned on a served log, beside what was served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from bandits import checks
from bandits.data.logged_data import LoggedData
from bandits.data.splits import split_by_time
from bandits.off_policy.estimate import OffPolicyEstimate, estimate_problem
from bandits.off_policy.estimators import DoublyRobust, OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import Terms
from bandits.policies.distributions import greedy
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree
from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table

SERVED = "what was served"
_NEEDS_VALUE = "value it by an estimator that the log supports, or log more"


@dataclass(frozen=True, slots=True)
class ReplayedRow:
    """What one policy or arm would have earned, by one estimator.

    Attributes:
        name: of the policy, the arm, or "what was served".
        kind: "policy", "arm" (always this one; where it could not be chosen, any other) or "served".
        estimator: by which; "mean" for what was served, which is no estimate.
        value: mean reward a decision; None where the estimator is not defined on this log.
        bounds: of its interval; None where there is none.
        gain: what it earns more than what was served, paired by decision; None where no interval is defined.
        problems: why the log cannot support it; none where it can.
        notes: what the reader must know.
    """

    name: str
    kind: Literal["policy", "arm", "served"]
    estimator: str
    value: float | None
    bounds: tuple[float, float] | None
    gain: Estimate | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def interval(self) -> tuple[float, float]:
        """Return the bounds; (-inf, inf), which excludes nothing, where there are none."""
        return self.bounds or (-np.inf, np.inf)


@dataclass(frozen=True, slots=True, repr=False)
class LogReplay(Results[ReplayedRow]):
    """Policies, what was served, and every fixed arm, on the same decisions.

    Attributes:
        rows: the policies by each estimator, then what was served and the arms by the first one.
        n_train: earlier decisions, which policies that had learned nothing yet learned from; 0 where none had to.
        n_rows: decisions that all were valued on.
        confidence: of the intervals.
    """

    kind: ClassVar[str] = "replayed log"

    rows: tuple[ReplayedRow, ...]
    n_train: int
    n_rows: int
    confidence: float

    @property
    def conclusion(self) -> str:
        """The best policy by the first estimator against what was served, and what to do, in one sentence."""
        first = next(row.estimator for row in self.rows if row.kind == "policy")
        rows = [row for row in self.rows if row.kind == "policy" and row.estimator == first]
        valued = [row for row in rows if row.value is not None]
        if not valued:
            return f"{first} values no policy on this log ({'; '.join(rows[0].notes)}): {_NEEDS_VALUE}."
        best = max(valued, key=lambda row: row.value or 0.0)
        many = f" (the best of {len(rows)} policies)" if len(rows) > 1 else ""
        if best.gain is None or best.problems:
            why = "; ".join((*best.problems, *best.notes)) or "no interval is defined"
            cannot = f"the log cannot tell what it would have earned ({why})"
            return f"{best.name}{many}: {cannot}: wait for more decisions, or explore more."
        more, gain = "more", best.gain
        if gain.value < 0:
            more, gain = "less", Estimate(-gain.value, -gain.high, -gain.low)
        advice = "no difference can be told: keep what is served, or log more"
        if best.gain.low > 0:
            advice = "serve it"
        elif best.gain.high < 0:
            advice = "keep what is served"
        return f"{best.name}{many} would have earned {gain:.3g} {more} a decision than what was served: {advice}."

    def table(self) -> Table:
        """Return one line a row, with the conclusion below."""
        lines = [(row.name, row.estimator, *_cells(row)) for row in self.rows]
        told: dict[str, list[str]] = {}
        for row in self.rows:
            for problem in (*row.problems, *row.notes):
                told.setdefault(problem, []).append(row.name)
        problems = [f"{', '.join(dict.fromkeys(names))}: {problem}" for problem, names in told.items()]
        learned = f", learned from the {self.n_train} before" if self.n_train else ""
        return Table(
            title=f"{self.n_rows} decisions{learned}, {self.confidence:.0%} intervals",
            headings=("policy", "estimator", "reward", "interval", "more than was served"),
            lines=tuple(lines),
            sections=frozenset({next(i for i, row in enumerate(self.rows) if row.kind == "served")}),
            remarks=(*problems, self.conclusion),
            left=frozenset({"estimator"}),
        )


def replay_log(
    policies: Policy | Mapping[str, Policy],
    log: LoggedData,
    *,
    estimators: Sequence[OffPolicyEstimator] = (DoublyRobust(),),
    test_share: float | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> LogReplay:
    """Say what policies would have earned on a served log, beside what was served and each fixed arm.

    A policy that has learned nothing yet learns from the earlier part of the log and is valued on the later one, so
    that it never sees what it is valued on; a linear one that was left at its class's `prior_precision` gets the one
    that `choose_prior_precision` takes for that part. A fitted policy is taken as it is: it must not have learned from
    this log's later part.

    Args:
        policies: by the name to print, or one alone; left as they are.
        log: with propensities, and with times where it is divided.
        estimators: the one to trust most first, which the reference lines and the conclusion are by.
        test_share: of the decisions, the latest ones, that all are valued on, in (0, 1]; None takes half where a policy
            must learn, else all.
        confidence: of the intervals, in (0, 1).
        seed: of policies that draw while they learn.

    Raises:
        ValueError: if a policy must learn and nothing is left to learn from, or policy and log do not fit.
    """
    named = named_policies(policies, (SERVED, *log.arm_names))
    if not named or not estimators:
        raise ValueError("replay_log needs at least one policy and one estimator")
    checks.share(confidence, "confidence")
    tree = SeedTree(seed)
    fresh = [name for name, policy in named.items() if policy.state is None]
    share = (0.5 if fresh else 1.0) if test_share is None else checks.within(test_share, 0.0, 1.0, "test_share")
    if fresh and share == 1:
        raise ValueError(f"{fresh[0]!r} has learned nothing yet and needs earlier decisions: give test_share below 1")
    train, test = None, log
    if share != 1:
        split = split_by_time(log, share)
        train, test = split.train, split.test
    rows: list[ReplayedRow] = []
    first: OffPolicyProblem | None = None  # whose reward models tell of the others too: the log is the same
    for name, policy in named.items():
        fitted = policy
        if train is not None and name in fresh:
            fitted = seeded(shrunk(policy, train), tree.child("policy", name)).fit(train)
        problem = OffPolicyProblem.of(fitted, test)
        first = first or problem
        rows += _valued(name, "policy", first.about(problem.probabilities), estimators, confidence)
    assert first is not None
    rows.append(_served(test, confidence))
    for place, arm in enumerate(test.arm_names):
        always = greedy(np.broadcast_to(np.eye(test.n_arms)[place], (len(test), test.n_arms)), test.available)
        rows += _valued(arm, "arm", first.about(always), estimators[:1], confidence)
    n_train = len(train) if train is not None and fresh else 0
    return LogReplay(tuple(rows), n_train, len(test), confidence)


@dataclass(frozen=True)
class _MoreThanServed(OffPolicyEstimator):
    """What an estimator says, minus the reward that was served, decision by decision."""

    inner: OffPolicyEstimator

    @property
    def name(self) -> str:
        return self.inner.name

    def terms(self, problem: OffPolicyProblem) -> Terms:
        terms = self.inner.terms(problem)
        if len(terms.row_weights) != len(problem.log):
            raise ValueError(f"{self.name} leaves rows out, so a difference cannot be paired")
        offset = -problem.log.rewards if terms.offset is None else terms.offset - problem.log.rewards
        return replace(terms, offset=offset, range="a difference states no bounds", reward_range=None)


@dataclass(frozen=True)
class _Mean(OffPolicyEstimator):
    """The plain mean of what was served."""

    def terms(self, problem: OffPolicyProblem) -> Terms:
        return problem.terms(problem.log.rewards)


def _valued(
    name: str,
    kind: Literal["policy", "arm"],
    problem: OffPolicyProblem,
    estimators: Sequence[OffPolicyEstimator],
    confidence: float,
) -> list[ReplayedRow]:
    rows = []
    for estimator in estimators:
        try:
            found = estimate_problem(problem, (estimator,), confidence=confidence).rows[0]
        except ValueError as refusal:
            rows.append(ReplayedRow(name, kind, estimator.name, None, None, notes=(str(refusal),)))
            continue
        rows.append(_row(name, kind, found, _gain(problem, estimator, confidence)))
    return rows


def _row(
    name: str, kind: Literal["policy", "arm", "served"], found: OffPolicyEstimate, gain: Estimate | None
) -> ReplayedRow:
    bounds = found.interval if np.isfinite(found.interval).all() else None
    problems, notes = found.diagnostics.problems, found.notes
    return ReplayedRow(name, kind, found.name, found.value, bounds, gain, problems, notes)


def _gain(problem: OffPolicyProblem, estimator: OffPolicyEstimator, confidence: float) -> Estimate | None:
    try:
        found = estimate_problem(problem, (_MoreThanServed(estimator),), confidence=confidence).rows[0]
    except ValueError:
        return None
    if found.value is None or not np.isfinite(found.interval).all():
        return None
    return Estimate(found.value, found.low, found.high)


def _served(test: LoggedData, confidence: float) -> ReplayedRow:
    taken = np.zeros((len(test), test.n_arms))
    taken[np.arange(len(test)), test.actions] = 1.0
    as_drawn = replace(test, propensities=np.ones(len(test)), action_probabilities=None)
    found = estimate_problem(OffPolicyProblem(as_drawn, taken), (_Mean(),), confidence=confidence).rows[0]
    return replace(_row(SERVED, "served", found, None), estimator="mean", problems=(), notes=())


def _cells(row: ReplayedRow) -> tuple[str, str, str]:
    value = "none" if row.value is None else f"{row.value:.4g}"
    bounds = "none" if row.bounds is None else f"[{row.bounds[0]:.4g}, {row.bounds[1]:.4g}]"
    gain = ("" if row.kind == "served" else "none") if row.gain is None else f"{row.gain:.3g}"
    return value, bounds, gain
