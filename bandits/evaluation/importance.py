"""Which features carry a choice: what held-out queries lose when a part of their contexts is another query's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandits import checks
from bandits.checks import Float32, Float64, Int64
from bandits.data.full_information_data import FullInformationData
from bandits.evaluation.objective import objective_of
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import Bootstrap
from bandits.statistics.estimate import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureImportance(Estimate):
    """What one part of the contexts is worth to a policy.

    Attributes:
        name: of the part.
        value: share of seconds, or mean reward, lost on held-out queries when the part is another query's.
        low: lower bound of its bootstrap interval over queries.
        high: upper bound of the same interval.
    """

    name: str

    def __str__(self) -> str:
        return f"{self.name}: {Estimate(self.value, self.low, self.high):.3f}"


def feature_importance(
    policy: Policy,
    data: FullInformationData,
    groups: Mapping[str, Sequence[int]],
    *,
    seed: int = 0,
    n_folds: int | None = None,
    n_permutations: int = 10,
) -> list[FeatureImportance]:
    """Permute one part of the contexts at a time, and see what the policy's choices lose by it.

    Copies of the policy are fitted without the queries that they are scored on. Where data hold seconds, the loss is
    total seconds with the part permuted over total seconds without, minus 1; else the loss of mean reward.

    Args:
        policy: an unfitted one will do; it is not changed.
        data: rows that observe every arm count.
        groups: columns of each part by its name, such as `HiddenStateEncoder.groups`.
        seed: of folds, permutations, what is random in the policy, and the bootstrap.
        n_folds: >= 2; None leaves one query out at a time.
        n_permutations: >= 1, averaged over.

    Returns:
        The parts, the one that is worth most first.

    Raises:
        ValueError: if there are fewer than two such rows or folds, or a part names a column that is not there.

    Source: Breiman 2001, Random Forests, section 10 (permutation importance), here of a policy's value.
    """
    rows, tree = data.complete_rows(), SeedTree(seed)
    n = len(rows)
    if n < 2:
        raise ValueError(f"importance needs >= 2 queries on which every arm is observed, got {n}")
    n_folds = n if n_folds is None else min(checks.at_least(n_folds, 2, "n_folds"), n)
    sources = _sources(rows, groups, tree, n_permutations)
    order = tree.rng("folds").permutation(n)
    losses = np.zeros((n, 1 + len(groups)))
    for fold in range(n_folds):
        held_out = order[fold::n_folds]
        train = rows.subset(np.setdiff1d(np.arange(n), held_out))
        fitted = seeded(shrunk(policy, train), tree.child("policy", str(fold))).fit(train)
        losses[held_out] = _losses(fitted, rows, held_out, groups, sources)
    return _summary(losses, list(groups), objective_of(rows) == "seconds", Bootstrap(seed=seed))


def held_out_importance(
    policy: Policy,
    data: FullInformationData,
    groups: Mapping[str, Sequence[int]],
    *,
    seed: int = 0,
    n_permutations: int = 10,
) -> list[FeatureImportance]:
    """Do as `feature_importance` with a policy that is fitted, on queries that it did not learn from.

    Args:
        policy: a fitted one.
        data: held-out rows; those that observe every arm count.
        groups: columns of each part by its name.
        seed: of permutations and the bootstrap.
        n_permutations: >= 1, averaged over.

    Returns:
        The parts, the one that is worth most first.

    Raises:
        ValueError: if there are fewer than two such rows, or a part names a column that is not there.
    """
    rows = data.complete_rows()
    if len(rows) < 2:
        raise ValueError(f"importance needs >= 2 queries on which every arm is observed, got {len(rows)}")
    sources = _sources(rows, groups, SeedTree(seed), n_permutations)
    losses = _losses(policy, rows, np.arange(len(rows)), groups, sources)
    return _summary(losses, list(groups), objective_of(rows) == "seconds", Bootstrap(seed=seed))


def _sources(
    rows: FullInformationData, groups: Mapping[str, Sequence[int]], tree: SeedTree, n_permutations: int
) -> list[Int64]:
    """Check the parts, and return whose part each row is given, in each permutation."""
    n, n_features = rows.contexts.shape
    checks.at_least(n_permutations, 1, "n_permutations")
    for name, columns in groups.items():
        if not columns or not 0 <= min(columns) <= max(columns) < n_features:
            raise ValueError(f"part {name!r} must name columns in [0, {n_features}), got {list(columns)}")
    return [tree.rng("permutation", str(i)).permutation(n) for i in range(n_permutations)]


def _losses(
    fitted: Policy,
    rows: FullInformationData,
    held_out: Int64,
    groups: Mapping[str, Sequence[int]],
    sources: Sequence[Int64],
) -> Float64:
    """Seconds, or rewards lost, of each query held out, as it is and then by part: (t, 1 + parts) float64."""
    losses = np.zeros((len(held_out), 1 + len(groups)))
    losses[:, 0] = _loss(fitted, rows, held_out, rows.contexts[held_out])
    for part, columns in enumerate(groups.values(), 1):
        for source in sources:
            contexts = rows.contexts[held_out].copy()
            contexts[:, list(columns)] = rows.contexts[source[held_out]][:, list(columns)]
            losses[:, part] += _loss(fitted, rows, held_out, contexts) / len(sources)
    return losses


def _loss(policy: Policy, rows: FullInformationData, held_out: Int64, contexts: Float32) -> Float64:
    """Return the seconds, or the reward with its sign turned, that the policy expects to pay: (t,) float64."""
    probabilities = policy.probabilities(contexts)
    aligned = rows.with_arms(policy.arm_names)
    paid = -aligned.rewards if objective_of(rows) == "reward" else aligned.costs
    assert paid is not None
    expected: Float64 = (probabilities * paid[held_out]).sum(axis=1)
    return expected


def _summary(losses: Float64, names: list[str], relative: bool, bootstrap: Bootstrap) -> list[FeatureImportance]:
    sums = bootstrap.sums(np.concatenate([losses, np.ones((len(losses), 1))], axis=1))
    without = sums[:, :1] if relative else sums[:, -1:]
    estimates = bootstrap.estimates((sums[:, 1:-1] - sums[:, :1]) / without, len(losses))
    found = [
        FeatureImportance(value=one.value, low=one.low, high=one.high, name=name)
        for name, one in zip(names, estimates, strict=True)
    ]
    return sorted(found, key=lambda one: -one.value)
