"""Whether a log can answer an off-policy question: overlap, weights, propensities, and the warnings in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandits.checks import Float64
from bandits.data.absent_arms import absent_arms
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.standard_error import standard_error

# With 77 on average, 95 % intervals of DoublyRobust on 300 digits held the truth in 90.8 % of 500 logs.
MIN_EFFECTIVE_SIZE = 100
LEAST_EFFECTIVE_SIZE = 30  # below it, approximate intervals are refused
FEW_DEVIATING = 20  # rewards other than the usual one
LEAST_DEVIATING = 5  # below it, approximate intervals are refused
FEW_ROWS = 10  # an arm logged less often is hardly known
MASS_THAT_MATTERS = 0.01  # of the evaluated policy's probability
MAX_WEIGHT_SHARE = 0.1  # of all weight on one query
SURE = 4.0  # standard errors; under the null hypothesis one test in 16,000


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """What a log says about its own fitness for one evaluated policy.

    Attributes:
        n_rows: rows of the log.
        n_queries: queries of the log.
        effective_sample_size: (sum W)^2 / sum W^2 over queries' weights W: decisions of the evaluated policy itself
            that would be as noisy a mean (Kish 1965).
        overlap: mean over contexts of sum_a min(pi_e, pi_b), 1 for equal policies and 0 for disjoint ones; estimated
            by the mean of min(w, 1) where the log holds only the taken actions' propensities.
        mean_weight: near 1 where the propensities are right and the logging policy tries what the evaluated one does.
        worst_weight: the largest weight.
        worst_row: where it stands.
        worst_weight_share: share of all weight on the one query that has most.
        mass_on_rare_arms: the evaluated policy's probability on arms that the log took on fewer than `FEW_ROWS` rows.
        n_deviating: rewards that differ from the commonest one under the evaluated policy (clicks among no clicks; all
            of them where no two rewards are equal), as an effective number, computed as the sample size is.
        mass_outside: the same where the logging policy's probability is 0; None where the log does not tell.
        calibration: for each arm, how often it was taken minus how often the propensities say, in standard errors
            (None where no row tells).
        problems: sentences that say why the log cannot support the question; empty if nothing speaks against it.
    """

    n_rows: int
    n_queries: int
    effective_sample_size: float
    overlap: float
    mean_weight: float
    worst_weight: float
    worst_row: int
    worst_weight_share: float
    mass_on_rare_arms: float
    n_deviating: float
    mass_outside: float | None
    calibration: dict[str, float | None]
    problems: tuple[str, ...]

    @property
    def too_thin(self) -> str | None:
        """Return why intervals that hold for large samples would not hold on this log; None where they do."""
        for count, least, what in (
            (self.effective_sample_size, LEAST_EFFECTIVE_SIZE, "decisions of this policy"),
            (self.n_deviating, LEAST_DEVIATING, "rewards other than the commonest"),
        ):
            if count < least:
                return (
                    f"the log is worth {count:.1f} {what}, and an interval that holds for large samples needs {least}"
                )
        return None

    @property
    def supported(self) -> bool:
        """Return whether nothing speaks against the question."""
        return not self.problems

    def __str__(self) -> str:
        warnings = "; ".join(self.problems) or "no warnings"
        return (
            f"{self.effective_sample_size:.1f} effective of {self.n_queries} queries, overlap {self.overlap:.2f}, "
            f"mean weight {self.mean_weight:.2f}, worst weight {self.worst_weight:.3g}: {warnings}"
        )


def diagnose(problem: OffPolicyProblem) -> Diagnostics:
    """Return the diagnostics of a log for one evaluated policy."""
    per_query = _by_query(problem, problem.relative_weights)
    total = float(per_query.sum())
    rare = np.bincount(problem.log.actions, minlength=problem.log.n_arms) < FEW_ROWS
    worst = int(np.argmax(problem.weights))
    facts = _Facts(
        effective=_effective_number(per_query),
        worst_share=float(per_query.max()) / total if total > 0 else 0.0,
        mean_weight=problem.mean(problem.weights),
        rare_mass=problem.mean(problem.probabilities[:, rare].sum(axis=1)),
        deviating=_n_deviating(problem),
        outside=_mass_outside(problem),
        calibration=_calibration(problem),
    )
    return Diagnostics(
        n_rows=len(problem.log),
        n_queries=len(per_query),
        effective_sample_size=facts.effective,
        overlap=problem.mean(_overlap(problem)),
        mean_weight=facts.mean_weight,
        worst_weight=float(problem.weights[worst]),
        worst_row=worst,
        worst_weight_share=facts.worst_share,
        mass_on_rare_arms=facts.rare_mass,
        n_deviating=facts.deviating,
        mass_outside=facts.outside,
        calibration=facts.calibration,
        problems=tuple(_problems(problem, facts, rare)),
    )


@dataclass(frozen=True, slots=True)
class _Facts:
    effective: float
    worst_share: float
    mean_weight: float
    rare_mass: float
    deviating: float
    outside: float | None
    calibration: dict[str, float | None]


def _by_query(problem: OffPolicyProblem, values: Float64) -> Float64:
    return np.bincount(problem.queries, problem.row_weights * values).astype(np.float64)


def _effective_number(weights: Float64) -> float:
    """Return (sum W)^2 / sum W^2; 0 without any weight."""
    squares = float(np.square(weights).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def _n_deviating(problem: OffPolicyProblem) -> float:
    rewards = problem.log.rewards
    weight = problem.row_weights * problem.relative_weights
    values, kinds = np.unique(rewards, return_inverse=True)
    deviates = np.ones(len(rewards), np.bool_)
    if len(values) < len(rewards):
        deviates = kinds != np.bincount(kinds, weight).argmax()
    return _effective_number(_by_query(problem, problem.relative_weights * deviates))


def _overlap(problem: OffPolicyProblem) -> Float64:
    logged = problem.log.action_probabilities
    if logged is None:
        return np.minimum(problem.weights, 1.0)
    return np.asarray(np.minimum(logged, problem.probabilities).sum(axis=1))


def _mass_outside(problem: OffPolicyProblem) -> float | None:
    logged = problem.log.action_probabilities
    if logged is None:
        return None
    return problem.mean(np.where(logged == 0, problem.probabilities, 0.0).sum(axis=1))


def _calibration(problem: OffPolicyProblem) -> dict[str, float | None]:
    """Return each arm's mean of 1{taken} - pi_b, or of 1{taken} / propensity - 1, in standard errors."""
    log = problem.log
    taken = np.zeros(problem.probabilities.shape)
    if log.action_probabilities is None:
        taken[problem.taken] = 1 / log.propensities
        surplus = taken - (1.0 if log.available is None else log.available)
    else:
        taken[problem.taken] = 1.0
        surplus = taken - log.action_probabilities
    return {name: _deviation(problem, surplus[:, arm]) for arm, name in enumerate(log.arm_names)}


def _deviation(problem: OffPolicyProblem, values: Float64) -> float | None:
    """Return the mean of values in standard errors from 0; None where values do not vary or there is one query."""
    largest = float(np.abs(values).max())
    terms = problem.terms(values / largest if largest > 1 else values)
    if terms.n_queries < 2:
        return None
    error = standard_error(terms)
    return terms.value / error if error > 0 else None


def _problems(problem: OffPolicyProblem, facts: _Facts, rare: np.ndarray) -> list[str]:
    log = problem.log
    found = []
    if facts.effective < MIN_EFFECTIVE_SIZE:
        found.append(
            f"the log is worth {facts.effective:.1f} decisions of this policy (of {len(log)} rows): with fewer than "
            f"{MIN_EFFECTIVE_SIZE} an interval covers the truth less often than its nominal level"
        )
    if facts.deviating < FEW_DEVIATING and facts.effective >= FEW_DEVIATING:
        found.append(
            f"rewards other than the commonest are rare: the log is worth {facts.deviating:.1f} of them under this "
            f"policy, and with fewer than {FEW_DEVIATING} an interval covers the truth less often than it says"
        )
    if facts.rare_mass > MASS_THAT_MATTERS:
        names = [name for name, is_rare in zip(log.arm_names, rare, strict=True) if is_rare]
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        found.append(
            f"{facts.rare_mass:.0%} of the policy's probability lies on arms that the log hardly tried ({shown}: fewer "
            f"than {FEW_ROWS} rows each), so their rewards are not in the log"
        )
    if facts.outside is not None and facts.outside > MASS_THAT_MATTERS:
        found.append(
            f"{facts.outside:.0%} of the policy's probability lies where the logging policy never acts, and no "
            "weighting can recover that"
        )
    if (log.propensities == 1).all() and (problem.weights != 1).any():
        found.append("the logging policy was deterministic (every propensity is 1): nothing is known of other arms")
    if facts.worst_share > MAX_WEIGHT_SHARE:
        found.append(f"one query carries {facts.worst_share:.0%} of all weight, so its reward decides")
    return found + _absences(problem) + _contradictions(problem, facts)


def _absences(problem: OffPolicyProblem) -> list[str]:
    """Return a sentence for each arm that the policy chooses at times at which the log seems not to have had it."""
    absent = absent_arms(problem.log)
    if absent is None or not absent.any():
        return []
    shares = problem.row_weights / problem.row_weights.sum() @ np.where(absent, problem.probabilities, 0.0)
    return [
        f"{share:.0%} of the policy's probability lies on {name!r} before its first decision in the log or after its "
        "last: if it could not be chosen then, say so in `available`, or leave those rows out"
        for name, share in zip(problem.log.arm_names, shares.tolist(), strict=True)
        if share > MASS_THAT_MATTERS
    ]


def _contradictions(problem: OffPolicyProblem, facts: _Facts) -> list[str]:
    found = []
    whole = problem.log.action_probabilities is not None
    for name, deviation in facts.calibration.items():
        # Too few rows of an arm may only mean that some contexts never try it; too many contradict the propensities.
        if deviation is not None and (deviation > SURE or (whole and deviation < -SURE)):
            found.append(
                f"arm {name!r} was taken {abs(deviation):.1f} standard errors {'more' if deviation > 0 else 'less'} "
                "often than the propensities say: they are wrong"
            )
    off = _deviation(problem, problem.weights - 1)
    if off is not None and abs(off) > SURE:
        found.append(
            f"weights average {facts.mean_weight:.2f} where 1 is expected ({off:+.1f} standard errors): the "
            "propensities are wrong, or the log never tries some of what the policy does"
        )
    return found
