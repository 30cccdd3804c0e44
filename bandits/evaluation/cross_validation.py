"""The score of one kind of policy on queries that it was not trained on, every query once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bandits import checks
from bandits.data.array_data import Data
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.evaluation.conclusion import Conclusion, conclude
from bandits.evaluation.division import Division
from bandits.evaluation.objective import Objective, fixed_policy, objective_of
from bandits.evaluation.scores import RefusedScores, Scores, fixed_arm_scores, policy_scores
from bandits.off_policy.diagnostics import MIN_EFFECTIVE_SIZE
from bandits.off_policy.estimators import DoublyRobust, OffPolicyEstimator
from bandits.off_policy.terms import TermSums
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOutScore(Estimate):
    """A policy's mean reward on queries that it was not trained on.

    Attributes:
        name: of the policy's class.
        value: mean reward.
        low: lower bound of its bootstrap interval over queries (of the training, no luck is in it).
        high: upper bound of the same interval.
        conclusion: the policy against the best fixed arm of each fold's training rows.
        n_queries: each was held out once.
        n_folds: parts that the queries were divided into.
    """

    name: str
    conclusion: Conclusion
    n_queries: int
    n_folds: int

    def __str__(self) -> str:
        return f"{Estimate(self.value, self.low, self.high)} on held-out queries ({self.n_folds} folds)"


def cross_validated(
    policy: Policy,
    data: Data,
    *,
    seed: int = 0,
    n_folds: int = 10,
    objective: Objective | None = None,
    estimator: OffPolicyEstimator | None = None,
) -> HeldOutScore:
    """Fit copies of a policy on all folds but one, score each on the fold left out, and pool the scores.

    A linear policy's default shrinkage is chosen anew on each fold's training rows; see `shrunk`.

    Args:
        policy: an unfitted one will do; it is not changed.
        data: of at least two queries; rows of one query are in one fold.
        seed: of the folds, of what is random in the policy, and of the bootstrap.
        n_folds: >= 2; as many as there are queries (or more) leaves one query out at a time.
        objective: what the conclusion is about; see `objective_of`.
        estimator: for a log; None takes DoublyRobust.

    Raises:
        ValueError: if there are fewer than two queries or folds, the policy fails, or the estimator is not defined.
    """
    n_folds = checks.at_least(n_folds, 2, "n_folds")
    query = query_numbers(data)
    scored = np.unique(query[data.complete] if isinstance(data, FullInformationData) else query)
    n_queries = len(scored)
    if n_queries < 2:
        raise ValueError(f"held-out scores need >= 2 queries, got {n_queries}")
    objective = objective_of(data, objective)
    estimators = (estimator or DoublyRobust(),)
    tree = SeedTree(seed)
    n_folds = min(n_folds, n_queries)
    order = tree.rng("folds").permutation(scored)
    own: list[Scores | RefusedScores] = []
    fixed: list[Scores | RefusedScores] = []
    for fold in range(n_folds):
        division = Division(data, -np.isin(query, order[fold::n_folds]).astype(np.int64))
        chosen = shrunk(policy, division.train)
        fitted = seeded(chosen, tree.child("policy", str(fold))).fit(division.train)
        own += policy_scores(division, fitted, type(policy).__name__, estimators)
        fixed += fixed_arm_scores(division, fixed_policy(division.train, objective), estimators)
    return _pooled(_all_defined(own), _all_defined(fixed), objective, Bootstrap(seed=seed), n_queries)


def _all_defined(scores: Sequence[Scores | RefusedScores]) -> list[Scores]:
    defined = [one for one in scores if isinstance(one, Scores)]
    refused = [one for one in scores if isinstance(one, RefusedScores)]
    if refused:
        raise ValueError(f"{refused[0].candidate.estimator} is not defined on a fold: {refused[0].reason}")
    return defined


def _pooled(
    own: Sequence[Scores], fixed: Sequence[Scores], objective: Objective, bootstrap: Bootstrap, n_queries: int
) -> HeldOutScore:
    name = own[0].candidate.name
    values = TermSums.unstack(bootstrap.sums(_by_query(own, "reward"))).values
    both = np.concatenate([_by_query(own, objective), _by_query(fixed, objective)], axis=1)
    drawn = bootstrap.sums(both)
    policy, arm = (TermSums.unstack(part).values for part in np.split(drawn, 2, axis=1))
    arms = [str(scores.fixed_arm) for scores in fixed]
    estimate = partial(bootstrap.estimate, n_units=n_queries)
    value = estimate(values)
    sizes = [scores.effective_sample_size for scores in own if scores.effective_sample_size is not None]
    supported = not sizes or sum(sizes) >= MIN_EFFECTIVE_SIZE  # each fold's own log is small
    return HeldOutScore(
        value=value.value,
        low=value.low,
        high=value.high,
        name=name,
        conclusion=replace(conclude([name], policy[:, None], arm, arms, objective, estimate), supported=supported),
        n_queries=n_queries,
        n_folds=len(own),
    )


def _by_query(scores: Sequence[Scores], objective: Objective) -> np.ndarray:
    """Return (q, 4) float64, the sums of all folds, a query a row."""
    sums = [one.reward if objective == "reward" else one.cost for one in scores]
    return np.concatenate([part.stack() for part in sums if part is not None])
