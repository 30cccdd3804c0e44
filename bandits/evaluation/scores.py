"""What one candidate earned on one division's test queries, in sums from which estimates are resampled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bandits.checks import Float64, Int64
from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.evaluation.division import Division
from bandits.evaluation.objective import Objective
from bandits.evaluation.segments import arms_by_segment
from bandits.off_policy.diagnostics import absences, diagnosis
from bandits.off_policy.estimators import OffPolicyEstimator
from bandits.off_policy.evidence import Evidence, evidence_of
from bandits.off_policy.problem import OffPolicyProblem
from bandits.off_policy.terms import TermSums
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.distributions import greedy
from bandits.policies.policy import Policy

EXACT = "exact"
ON_POLICY = "on policy"
ORACLE = "oracle"
BEST_FIXED = "best fixed arm"
BEST_BY_SEGMENT = "best arm by segment"
LOGGING_POLICY = "logging policy"

Kind = Literal["policy", "fixed", "segment", "arm", "oracle", "log"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is scored, and how.

    Attributes:
        name: of the policy or arm, or of a reference: "best fixed arm", "best arm by segment", "oracle", "logging
            policy".
        kind: "policy", "fixed" (the arm that was best on training data), "segment" (the one that was best there for the
            query's segment), "arm", "oracle" or "log".
        estimator: name of the off-policy estimator, or "exact" or "on policy".
        train_share: share of the training queries that it learned from.
    """

    name: str
    kind: Kind
    estimator: str
    train_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """One candidate's scores on one division.

    Attributes:
        candidate: whose.
        n_train: training rows that it learned from.
        queries: (t,) int64, the test queries' numbers in the whole data.
        reward: sums by test query (t,).
        cost: sums by test query (t,); None where the data hold none.
        arm_shares: (k,) float64, mean probability of each arm.
        notes: what the reader must know.
        problems: why the test log cannot support the estimate, if it cannot.
        effective_sample_size: decisions of this policy that the test log is worth; None on full information.
        fixed_arm: the arm that "best fixed arm" was.
        n_test: test rows.
        evidence: what these rows say of the log; None on full information.
    """

    candidate: Candidate
    n_train: int
    queries: Int64
    reward: TermSums
    cost: TermSums | None
    arm_shares: Float64
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    effective_sample_size: float | None = None
    fixed_arm: str | None = None
    n_test: int = 0
    evidence: Evidence | None = None


@dataclass(frozen=True, slots=True)
class RefusedScores:
    """Why one candidate has no scores on one division: its estimator is not defined there, or gives no interval."""

    candidate: Candidate
    reason: str


def policy_scores(
    division: Division,
    policy: Policy,
    name: str,
    estimators: Sequence[OffPolicyEstimator],
    *,
    train_share: float = 1.0,
    n_train: int = 0,
) -> list[Scores | RefusedScores]:
    """Return a fitted policy's scores: one exact one on full information, one an estimator on a log."""
    test = division.test
    if isinstance(test, FullInformationData):
        candidate = Candidate(name, "policy", EXACT, train_share)
        return [_exact(division, test, candidate, test.probabilities_of(policy), n_train)]
    candidates = [Candidate(name, "policy", estimator.name, train_share) for estimator in estimators]
    return _estimated(division, OffPolicyProblem.of(policy, test), estimators, candidates, n_train)


def fixed_arm_scores(
    division: Division, policy: BestFixedArm, estimators: Sequence[OffPolicyEstimator]
) -> list[Scores | RefusedScores]:
    """Return the scores of the arm that was best on training rows, by a policy fitted to what they are ranked by."""
    test, n_train = division.test, len(division.train)
    arm = policy.arm_names[int(np.argmax(policy.mean_rewards()))]
    if isinstance(test, FullInformationData):
        scores = _exact(division, test, Candidate(BEST_FIXED, "fixed", EXACT), always(test, arm), n_train)
        return [replace(scores, fixed_arm=arm)]
    candidates = [Candidate(BEST_FIXED, "fixed", estimator.name) for estimator in estimators]
    scored = _estimated(division, OffPolicyProblem.of(policy, test), estimators, candidates, n_train)
    return [replace(scores, fixed_arm=arm) if isinstance(scores, Scores) else scores for scores in scored]


def segment_scores(
    division: Division, estimators: Sequence[OffPolicyEstimator], objective: Objective
) -> list[Scores | RefusedScores]:
    """Return the scores of the arm that is best on the training rows of a query's segment."""
    test, n_train = division.test, len(division.train)
    chosen = arms_by_segment(division.train, test, objective)
    if isinstance(test, FullInformationData):
        return [_exact(division, test, Candidate(BEST_BY_SEGMENT, "segment", EXACT), chosen, n_train)]
    candidates = [Candidate(BEST_BY_SEGMENT, "segment", estimator.name) for estimator in estimators]
    return _estimated(division, OffPolicyProblem(test, chosen), estimators, candidates, n_train)


def arm_scores(division: Division, estimators: Sequence[OffPolicyEstimator]) -> list[Scores | RefusedScores]:
    """Return the scores of every arm, always chosen: exact ones, or those of the first estimator."""
    test, n_train = division.test, len(division.train)
    found: list[Scores | RefusedScores] = []
    for arm in test.arm_names:
        if isinstance(test, FullInformationData):
            found.append(_exact(division, test, Candidate(arm, "arm", EXACT), always(test, arm), n_train))
        else:
            problem = OffPolicyProblem(test, always(test, arm))
            candidate = Candidate(arm, "arm", estimators[0].name)
            found += _estimated(division, problem, estimators[:1], [candidate], n_train)
    return found


def reference_scores(division: Division) -> Iterator[Scores | RefusedScores]:
    """Yield every arm and the oracle on full information; on a log, what the log itself earned."""
    test, n_train = division.test, len(division.train)
    if isinstance(test, FullInformationData):
        yield from arm_scores(division, ())
        yield _exact(division, test, Candidate(ORACLE, "oracle", EXACT), greedy(test.rewards, None), n_train)
        return
    yield Scores(
        candidate=Candidate(LOGGING_POLICY, "log", ON_POLICY),
        n_train=n_train,
        queries=division.queries,
        reward=division.mean_sums(test.rewards, test.weights),
        cost=None if test.costs is None else division.mean_sums(test.costs, test.weights),
        arm_shares=np.bincount(test.actions, minlength=test.n_arms) / len(test),
        n_test=len(test),
    )


def always(test: Data, arm: str) -> Float64:
    """Return probability 1 for an arm; where a log could not choose it, alike for the arms that it could."""
    one_hot = np.broadcast_to(np.eye(test.n_arms)[test.arm_names.index(arm)], (len(test), test.n_arms))
    return greedy(one_hot, test.available) if isinstance(test, LoggedData) else one_hot


def _exact(
    division: Division, test: FullInformationData, candidate: Candidate, probabilities: Float64, n_train: int
) -> Scores:
    """Return exact expectations under (n, k) probabilities on full information."""
    reward = division.mean_sums(np.einsum("nk,nk->n", probabilities, test.rewards))
    cost = None if test.costs is None else division.mean_sums(np.einsum("nk,nk->n", probabilities, test.costs))
    return Scores(candidate, n_train, division.queries, reward, cost, probabilities.mean(axis=0), n_test=len(test))


def _estimated(
    division: Division,
    problem: OffPolicyProblem,
    estimators: Sequence[OffPolicyEstimator],
    candidates: Sequence[Candidate],
    n_train: int,
) -> list[Scores | RefusedScores]:
    """Return the scores that each estimator gives one fitted policy on the test log."""
    problem, priced = division.questions(problem)
    evidence = evidence_of(problem)
    diagnostics = diagnosis(evidence, problem.log.arm_names, absences(problem))
    result: list[Scores | RefusedScores] = []
    for candidate, estimator in zip(candidates, estimators, strict=True):
        try:
            reward, notes = _estimator_sums(division, estimator, problem)
            cost = None if priced is None else _estimator_sums(division, estimator, priced)[0]
        except ValueError as refusal:
            result.append(RefusedScores(candidate, str(refusal)))
            continue
        scores = Scores(
            candidate=candidate,
            n_train=n_train,
            queries=division.queries,
            reward=reward,
            cost=cost,
            arm_shares=problem.probabilities.mean(axis=0),
            notes=notes,
            problems=diagnostics.problems,
            effective_sample_size=diagnostics.effective_sample_size,
            n_test=len(problem.log),
            evidence=evidence,
        )
        result.append(scores)
    return result


def _estimator_sums(
    division: Division, estimator: OffPolicyEstimator, problem: OffPolicyProblem
) -> tuple[TermSums, tuple[str, ...]]:
    terms = estimator.terms(problem)
    if len(terms.row_weights) != len(problem.log):
        raise ValueError(
            f"{estimator.name} leaves rows out, so differences between policies cannot be paired: use another "
            "estimator in compare"
        )
    if terms.biased is not None:
        raise ValueError(f"{estimator.name} has no interval: {terms.biased}")
    return division.query_sums(terms.by_row()), terms.notes
