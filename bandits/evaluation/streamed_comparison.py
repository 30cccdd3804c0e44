"""A comparison on data that are read in batches: for each seed one pass to learn and one to score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from bandits.data.array_data import Data
from bandits.data.batches import N_GROUPS, full_batches, group_numbers, query_keys, split_places
from bandits.data.data_stream import DataStream
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.evaluation.division import Division
from bandits.evaluation.objective import Objective, net_of_costs, ranked
from bandits.evaluation.score_sums import ScoreSums
from bandits.evaluation.scores import (
    BEST_FIXED,
    Candidate,
    RefusedScores,
    Scores,
    fixed_arm_scores,
    policy_scores,
    reference_scores,
)
from bandits.evaluation.settings import ComparisonSettings
from bandits.off_policy.streamed import not_by_batch
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree


@dataclass(slots=True)
class Learner:
    """A policy that learns batch by batch; its default shrinkage is chosen on the first one.

    Attributes:
        policy: unfitted; it is not changed.
        tree: seeds what is random in it; None leaves its own seed.
        fitted: what has learned from the batches so far.
        n_rows: how many these were.
    """

    policy: Policy
    tree: SeedTree | None = None
    fitted: Policy | None = field(default=None, init=False)
    n_rows: int = field(default=0, init=False)

    def learn(self, rows: Data) -> None:
        """Learn from further rows, if there are any."""
        if len(rows) == 0:
            return
        if self.fitted is None:
            start = shrunk(self.policy, rows)
            self.fitted = (start if self.tree is None else seeded(start, self.tree)).fit(rows)
        else:
            self.fitted.update(rows)
        self.n_rows += len(rows)


def fit_batches(policy: Policy, stream: DataStream[Data], cost_weight: float | None = None) -> Policy:
    """Return a copy fitted to all rows of a stream, as `Comparison.fit_best` says."""
    learner = Learner(policy)
    for batch in full_batches(stream):
        learner.learn(net_of_costs(batch, cost_weight))
    if learner.fitted is None:
        raise ValueError(f"{stream.folder} holds no rows to learn from")
    return learner.fitted


@dataclass(frozen=True, slots=True)
class Counts:
    """How much data there are.

    Attributes:
        first: all rows, or the first batch of a stream.
        n_rows: how many rows.
        n_queries: how many queries; one of a stream with rows in several batches counts in each.
        n_left_out: rows without every arm's reward, of full information.
        n_units: that intervals draw from: queries, or groups of them.
    """

    first: Data
    n_rows: int
    n_queries: int
    n_left_out: int
    n_units: int


def counted(data: Data | DataStream[Data]) -> Counts:
    """Count rows and queries; a stream is read once for it where its first batch does not tell."""
    if not isinstance(data, DataStream):
        n_queries = int(query_numbers(data).max()) + 1
        return Counts(data, len(data), n_queries, _n_incomplete(data), n_queries)
    batches = full_batches(data)
    first = next(batches, None)
    if first is None:
        raise ValueError(f"{data.folder} holds no rows to compare on")
    if first.query_ids is None and not isinstance(first, FullInformationData):
        return Counts(first, data.n_rows, data.n_rows, 0, N_GROUPS)
    found = [(int(query_numbers(batch).max()) + 1, _n_incomplete(batch)) for batch in chain([first], batches)]
    n_queries, n_left_out = map(sum, zip(*found, strict=True))
    return Counts(first, data.n_rows, n_queries, n_left_out, N_GROUPS)


def _n_incomplete(data: Data) -> int:
    return int((~data.complete).sum()) if isinstance(data, FullInformationData) else 0


def check_streamed(settings: ComparisonSettings, reward: object = None) -> None:
    """Refuse what a comparison can only do with all rows at once.

    Raises:
        ValueError: naming the setting.
    """
    for estimator in settings.estimators:
        if not estimator.by_batch:
            raise ValueError(f"{estimator.name} cannot be used on a stream: {not_by_batch(estimator)}")
    needs = {
        "by_segment": settings.by_segment,
        "logging_policy": settings.logging_policy is not None,
        "reward": reward is not None,
    }
    for name, given in needs.items():
        if given:
            raise ValueError(f"{name} needs all rows at once: load the data, or leave it out")


@dataclass(frozen=True, slots=True)
class StreamTask:
    """A seed, of every policy and of what they are measured against."""

    seed: int

    def __str__(self) -> str:
        """Return which seed it is."""
        return f"seed {self.seed}"


@dataclass(frozen=True, slots=True)
class StreamWork:
    """Does one seed of a comparison on a stream, wherever an executor runs it: the rows are read there."""

    stream: DataStream[Data]
    policies: Mapping[str, Policy]
    settings: ComparisonSettings
    objective: Objective

    def __call__(self, task: StreamTask) -> list[Scores | RefusedScores]:
        """Return the scores of every policy at every training size, and of the references.

        Raises:
            ValueError: naming policy and seed, if a policy fails; or if no row is left to learn from or to score on.
        """
        learners = self._learned(task.seed)
        sums: dict[Candidate, ScoreSums | RefusedScores] = {}
        for division in self._divisions(task.seed):
            for scores in self._scored(task.seed, learners, division):
                known = sums.setdefault(scores.candidate, ScoreSums())
                if isinstance(scores, RefusedScores):
                    sums[scores.candidate] = scores
                elif isinstance(known, ScoreSums):
                    known.add(scores)
        if not sums:
            raise ValueError(f"seed {task.seed}: no tested row observes every arm, so no exact value exists")
        n_rows = {share: learner.n_rows for (_, share), learner in learners.items()}
        arms = self.stream.arm_names
        return [
            one if isinstance(one, RefusedScores) else one.total(n_rows[candidate.train_share], arms)
            for candidate, one in sums.items()
        ]

    def scores_or_refusal(self, task: StreamTask) -> list[Scores | RefusedScores] | ValueError:
        """Return the scores, or the error of a call, which so remains what it is on its way from a worker."""
        try:
            return self(task)
        except ValueError as error:
            return error

    def _batches(self, seed: int) -> Iterator[tuple[Data, np.ndarray, np.ndarray]]:
        """Yield rows net of costs, with the place of each row's query in the seed's order, and its group."""
        first_row = 0
        for batch in full_batches(self.stream):
            keys = query_keys(batch, first_row)
            places = split_places(keys, seed)
            yield net_of_costs(batch, self.settings.cost_weight), places, group_numbers(keys, self.stream.n_rows)
            first_row += len(batch)

    def _learned(self, seed: int) -> dict[tuple[str, float], Learner]:
        tested, shares = self.settings.test_share, self.settings.train_shares
        tree = SeedTree(seed)
        learners = {
            (name, share): Learner(policy, tree.child("policy", name))
            for name, policy in self.policies.items()
            for share in shares
        }
        learners[BEST_FIXED, 1.0] = Learner(BestFixedArm())
        for batch, places, _ in self._batches(seed):
            for share in shares:
                rows = batch.subset((places >= tested) & (places < tested + share * (1 - tested)))
                for name in self.policies:
                    try:
                        learners[name, share].learn(rows)
                    except (RuntimeError, TypeError, ValueError) as error:
                        raise ValueError(f"policy {name!r}, seed {seed}: {error}") from error
            learners[BEST_FIXED, 1.0].learn(ranked(batch.subset(places >= tested), self.objective))
        for (_, share), learner in learners.items():
            if learner.fitted is None:
                raise ValueError(f"seed {seed}: no row is left to learn from at train share {share:g}: add rows")
        return learners

    def _divisions(self, seed: int) -> Iterator[Division]:
        for batch, places, groups in self._batches(seed):
            scored = places < self.settings.test_share
            complete = batch.complete if isinstance(batch, FullInformationData) else np.ones(len(batch), np.bool_)
            if (scored & complete).any():
                yield Division(batch, np.where(scored, -1, 0), units=groups)

    def _scored(
        self, seed: int, learners: Mapping[tuple[str, float], Learner], division: Division
    ) -> Iterator[Scores | RefusedScores]:
        estimators = self.settings.estimators
        for (name, share), learner in learners.items():
            fitted = learner.fitted
            if isinstance(fitted, BestFixedArm) and name == BEST_FIXED:
                yield from fixed_arm_scores(division, fitted, estimators)
            elif fitted is not None:
                try:
                    yield from policy_scores(division, fitted, name, estimators, train_share=share)
                except (RuntimeError, TypeError, ValueError) as error:
                    raise ValueError(f"policy {name!r}, seed {seed}: {error}") from error
        yield from reference_scores(division)
