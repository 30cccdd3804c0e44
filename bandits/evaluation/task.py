"""One piece of a comparison: fit a policy for one seed and score it on the rows that it has not seen."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from bandits.checks import Bool, Float64, Int64
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.off_policy.diagnostics import diagnose
from bandits.off_policy.estimators import OffPolicyEstimator
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.policy import Data, Policy, greedy
from bandits.policies.seeded import seeded
from bandits.seeds import SeedTree

EXACT = "exact"
ON_POLICY = "on policy"
ORACLE = "oracle"
LOGGING_POLICY = "logging policy"


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """How `compare` divides, trains and resamples.

    Args:
        test_share: in (0, 1), share of the queries that each seed scores on; the rest are for training.
        train_shares: in (0, 1], ascending and ending in 1: shares of the training queries to learn from, for
            learning curves. Smaller shares are parts of larger ones.
        logging_policy: on full information, learn from the log that this policy would have written (drawn anew
            for each seed) instead of from every arm's reward; None shows all rewards.
        n_bootstrap: resamples for the intervals.
        confidence: in (0, 1).
        n_jobs: processes. Each gets the data, and uses as many threads as its BLAS: set OMP_NUM_THREADS=1 in the
            environment where there are several. Results do not depend on it.
    """

    test_share: float = 0.3
    train_shares: tuple[float, ...] = (0.125, 0.25, 0.5, 1.0)
    logging_policy: Policy | None = None
    n_bootstrap: int = 1000
    confidence: float = 0.95
    n_jobs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.test_share < 1:
            raise ValueError(f"test_share must be in (0, 1), got {self.test_share}")
        shares = tuple(self.train_shares)
        if not shares or shares[-1] != 1 or not all(0 < a < b for a, b in zip(shares, (*shares[1:], 2), strict=True)):
            raise ValueError(f"train_shares must ascend within (0, 1] and end in 1, got {shares}")
        if self.n_bootstrap < 1 or not 0 < self.confidence < 1:
            raise ValueError(
                f"n_bootstrap must be >= 1 and confidence in (0, 1), got {self.n_bootstrap} and {self.confidence}"
            )
        if self.n_jobs < 1:
            raise ValueError(f"n_jobs must be >= 1, got {self.n_jobs}")
        object.__setattr__(self, "train_shares", shares)


@dataclass(frozen=True, slots=True)
class Scores:
    """What one candidate brought on one seed's test queries, in sums from which estimates are resampled.

    Attributes:
        name, kind: of the candidate: "policy", "arm", "oracle" or "log".
        estimator: name of the off-policy estimator, or "exact" or "on policy".
        train_share, n_train: share and number of training rows that it learned from.
        queries: (t,) int64, the test queries' numbers in the whole data.
        reward, cost: (t, 4) float64, columns as in `Terms.query_sums`; cost is None where there is none.
        arm_shares: (k,) float64, mean probability of each arm.
        notes: what the reader must know.
        problems: why the test log cannot support the estimate, if it cannot.
        effective_sample_size: decisions of this policy that the test log is worth; None on full information.
    """

    name: str
    kind: str
    estimator: str
    train_share: float
    n_train: int
    queries: Int64
    reward: Float64
    cost: Float64 | None
    arm_shares: Float64
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    effective_sample_size: float | None = None


@dataclass(frozen=True, slots=True)
class ComparisonTask:
    """A seed, and the policy to fit for it; without a policy, what policies are measured against."""

    data: Data
    settings: ComparisonSettings
    estimators: tuple[OffPolicyEstimator, ...]
    seed: int
    name: str | None
    policy: Policy | None

    def run(self) -> list[Scores]:
        """Return the scores of this seed's policy at every training size, or those of the references.

        Raises:
            ValueError: naming policy and seed, if the policy fails.
        """
        division = _Division(self.data, self.settings, SeedTree(self.seed))
        if self.policy is None or self.name is None:
            return list(_reference_scores(division))
        try:
            return self._policy_scores(division, self.name, self.policy)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"policy {self.name!r}, seed {self.seed}: {error}") from error

    def _policy_scores(self, division: _Division, name: str, policy: Policy) -> list[Scores]:
        result = []
        for share in self.settings.train_shares:
            train = division.train_data(share)
            fitted = seeded(policy, SeedTree(self.seed).child("policy", name)).fit(train)
            test = division.test
            if isinstance(test, FullInformationData):
                chances = test.probabilities_of(fitted)
                result.append(division.exact(name, "policy", chances, share, len(train)))
                continue
            result += _estimated(
                division, self.estimators, name, OffPolicyProblem.of(fitted, test), (share, len(train))
            )
        return result


class _Division:
    """One seed's training and test rows."""

    def __init__(self, data: Data, settings: ComparisonSettings, tree: SeedTree) -> None:
        query = query_numbers(data)
        n_queries = int(query.max()) + 1
        if n_queries < 2:
            raise ValueError("a comparison needs at least two queries, to train on one and score on the other")
        order = tree.rng("split").permutation(n_queries)
        n_test = min(max(round(settings.test_share * n_queries), 1), n_queries - 1)
        self._rank = np.empty(n_queries, np.int64)  # of each query among the training queries, < 0 for tested ones
        self._rank[order] = np.arange(n_queries) - n_test
        tested = self._rank[query] < 0
        if isinstance(data, FullInformationData):
            tested_complete = tested & data.complete
            if not tested_complete.any():
                raise ValueError(f"seed {tree.seed}: no tested row observes every arm, so no exact value exists")
        else:
            tested_complete = tested
        self.test = data.subset(tested_complete)
        self.queries, self.place = np.unique(query[tested_complete], return_inverse=True)
        self._n_train = n_queries - n_test
        train = data.subset(~tested)
        self._train_rank = self._rank[query[~tested]]
        if settings.logging_policy is not None and isinstance(train, FullInformationData):
            self.train: Data = train.log_with(copy.deepcopy(settings.logging_policy), tree.rng("logging"))
        else:
            self.train = train

    def train_data(self, share: float) -> Data:
        """Return the rows of the first `share` of the training queries."""
        kept: Bool = self._train_rank < math.ceil(share * self._n_train)
        return self.train if kept.all() else self.train.subset(kept)

    def exact(self, name: str, kind: str, chances: Float64, share: float, n_train: int) -> Scores:
        """Return exact expectations under (n, k) probabilities on full information."""
        test = self.test
        if not isinstance(test, FullInformationData):
            raise TypeError("exact scores need full information")
        reward = self.sums(np.einsum("nk,nk->n", chances, test.rewards))
        cost = None if test.costs is None else self.sums(np.einsum("nk,nk->n", chances, test.costs))
        return Scores(name, kind, EXACT, share, n_train, self.queries, reward, cost, chances.mean(axis=0))

    def sums(self, values: Float64, weights: Float64 | None = None) -> Float64:
        """Return (t, 4) float64, a plain mean's sums by query."""
        each = np.ones(len(values)) if weights is None else weights
        counts = np.bincount(self.place, each)
        return np.stack([np.bincount(self.place, each * values), counts, counts, np.zeros(len(counts))], axis=1)


def _reference_scores(division: _Division) -> Sequence[Scores]:
    """Return every fixed arm and the oracle on full information; on a log, what the log itself earned."""
    test, n_train = division.test, len(division.train)
    if isinstance(test, FullInformationData):
        one_hot = np.eye(test.n_arms)
        arms = [
            division.exact(name, "arm", np.broadcast_to(one_hot[arm], test.rewards.shape), 1.0, n_train)
            for arm, name in enumerate(test.arm_names)
        ]
        return [*arms, division.exact(ORACLE, "oracle", greedy(test.rewards, None), 1.0, n_train)]
    cost = None if test.costs is None else division.sums(test.costs, test.weights)
    shares = np.bincount(test.actions, minlength=test.n_arms) / len(test)
    reward = division.sums(test.rewards, test.weights)
    return [Scores(LOGGING_POLICY, "log", ON_POLICY, 1.0, n_train, division.queries, reward, cost, shares)]


def _estimated(
    division: _Division,
    estimators: Sequence[OffPolicyEstimator],
    name: str,
    problem: OffPolicyProblem,
    size: tuple[float, int],
) -> list[Scores]:
    """Return the scores that each estimator gives one fitted policy on the test log."""
    log = problem.log
    priced = None if log.costs is None else OffPolicyProblem(replace(log, rewards=log.costs), problem.probabilities)
    diagnostics = diagnose(problem)
    shares = problem.probabilities.mean(axis=0)
    result = []
    for estimator in estimators:
        reward, notes = _estimator_sums(division, estimator, problem)
        cost = None if priced is None else _estimator_sums(division, estimator, priced)[0]
        scores = Scores(name, "policy", estimator.name, *size, division.queries, reward, cost, shares, notes)
        result.append(
            replace(scores, problems=diagnostics.problems, effective_sample_size=diagnostics.effective_sample_size)
        )
    return result


def _estimator_sums(
    division: _Division, estimator: OffPolicyEstimator, problem: OffPolicyProblem
) -> tuple[Float64, tuple[str, ...]]:
    terms = estimator.terms(problem)
    if len(terms.row_weights) != len(problem.log):
        raise ValueError(
            f"{estimator.name} leaves rows out, so differences between policies cannot be paired: use another "
            "estimator in compare"
        )
    columns = terms.columns()
    sums = np.zeros((len(division.queries), columns.shape[1]))
    np.add.at(sums, division.place, columns)
    return sums, terms.notes
