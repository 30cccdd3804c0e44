"""One piece of a comparison, for one process: fit a policy for one seed and score it on rows that it has not seen."""

from __future__ import annotations

from dataclasses import dataclass

from bandits.data.array_data import Data
from bandits.evaluation.division import Division
from bandits.evaluation.objective import Objective, fixed_policy
from bandits.evaluation.scores import (
    RefusedScores,
    Scores,
    fixed_arm_scores,
    policy_scores,
    reference_scores,
    segment_scores,
)
from bandits.evaluation.segments import segments_of
from bandits.evaluation.settings import ComparisonSettings
from bandits.policies.policy import Policy
from bandits.policies.seeded import seeded
from bandits.policies.shrunk import shrunk
from bandits.seeds import SeedTree


@dataclass(frozen=True, slots=True)
class ComparisonTask:
    """A seed, and the policy to fit for it; without a policy, what policies are measured against."""

    seed: int
    name: str | None = None
    policy: Policy | None = None

    def __str__(self) -> str:
        """Return whose scores are asked for, and with which seed."""
        asked = "the references" if self.name is None else f"policy {self.name!r}"
        return f"{asked} with seed {self.seed}"


@dataclass(frozen=True, slots=True)
class ComparisonWork:
    """Does the tasks of one comparison, wherever an executor runs it; it travels once to each worker."""

    data: Data
    settings: ComparisonSettings
    objective: Objective

    def __call__(self, task: ComparisonTask) -> list[Scores | RefusedScores]:
        """Return the scores of this seed's policy at every training size, or those of the references.

        Raises:
            ValueError: naming policy and seed, if the policy fails.
        """
        division = Division.random(self.data, self.settings, SeedTree(task.seed))
        if task.policy is None or task.name is None:
            best = fixed_policy(division.train, self.objective)
            fixed = fixed_arm_scores(division, best, self.settings.estimators)
            known = segments_of(self.data) is not None
            looked_up = segment_scores(division, self.settings.estimators, self.objective) if known else []
            return [*fixed, *looked_up, *reference_scores(division)]
        try:
            return self._policy_scores(division, task.seed, task.name, task.policy)
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"policy {task.name!r}, seed {task.seed}: {error}") from error

    def scores_or_refusal(self, task: ComparisonTask) -> list[Scores | RefusedScores] | ValueError:
        """Return the scores, or the error of a call, which so remains what it is on its way from a worker."""
        try:
            return self(task)
        except ValueError as error:
            return error

    def _policy_scores(self, division: Division, seed: int, name: str, policy: Policy) -> list[Scores | RefusedScores]:
        result: list[Scores | RefusedScores] = []
        for share in self.settings.train_shares:
            train = division.train_data(share)
            fitted = seeded(shrunk(policy, train), SeedTree(seed).child("policy", name)).fit(train)
            result += policy_scores(
                division, fitted, name, self.settings.estimators, train_share=share, n_train=len(train)
            )
        return result
