"""Data in order of time, divided into windows: the best arms of each, and what policies earn that pass through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from bandits.checks import Float64, Int64
from bandits.data.array_data import Data
from bandits.data.logged_data import LoggedData
from bandits.evaluation.rolling_figures import RollingCandidate
from bandits.evaluation.rolling_path import LearnFrom, Path, path_of, rewards_of_arms
from bandits.evaluation.rolling_result import RollingWindow, frozen_name
from bandits.evaluation.scores import BEST_FIXED, always
from bandits.off_policy.diagnostics import diagnose
from bandits.off_policy.problem import OffPolicyProblem
from bandits.policies.policy import Policy
from bandits.seeds import SeedTree


class TimeOrder:
    """What arms bring in each window, and what policies do that pass through them.

    Attributes:
        best: (n,) float64, what the best arm of each row's window brings.
        weights: (n,) float64, how many rows each stands for.

    Args:
        data: in order of time.
        edges: (w + 1,) int64, rows at which windows begin, and n.
        n_first: windows of the first part.

    Raises:
        ValueError: if all rows of a window weigh 0.
    """

    def __init__(self, data: Data, edges: Int64, n_first: int) -> None:
        self._data, self._edges = data, edges
        self._rewards = rewards = rewards_of_arms(data)
        self._n_before = int(edges[n_first])
        stated = data.weights if isinstance(data, LoggedData) else None
        self.weights = np.ones(len(data)) if stated is None else stated
        sums = np.add.reduceat(self.weights[:, None] * rewards, edges[:-1])
        self._counts = np.add.reduceat(self.weights, edges[:-1])
        if not (self._counts > 0).all():
            raise ValueError(
                f"every row of window {int(np.argmin(self._counts)) + 1} has weight 0: ask for fewer windows"
            )
        self._sums, self._best_arms = sums, np.argmax(sums, axis=1)
        self._fixed = int(np.argmax(sums[:n_first].sum(axis=0)))
        self.best = rewards[np.arange(len(data)), np.repeat(self._best_arms, np.diff(edges))]

    @property
    def fixed_arm(self) -> str:
        """Return the arm that was best on the first part."""
        return self._data.arm_names[self._fixed]

    def windows(self) -> tuple[RollingWindow, ...]:
        """Return what is to be said of each window."""
        times = self._data.times
        assert times is not None
        found = []
        for window, (low, high) in enumerate(pairwise(self._edges.tolist())):
            arm = int(self._best_arms[window])
            value = float(self._sums[window, arm] / self._counts[window])
            name = self._data.arm_names[arm]
            found.append(
                RollingWindow(
                    n_rows=high - low,
                    start=float(times[low]),
                    stop=float(times[high - 1]),
                    best_arm=name,
                    best_value=value,
                )
            )
        return tuple(found)

    def path(self, name: str, policy: Policy, update_every: int, learn_from: LearnFrom, tree: SeedTree) -> Path:
        """Return a run of a policy.

        Raises:
            ValueError: naming policy and seed, if it fails, or is shown nothing.
        """
        try:
            path = path_of(policy, self._data, self._n_before, update_every, learn_from, tree.child("policy", name))
        except (RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"policy {name!r}, seed {tree.seed}: {error}") from error
        if path.n_learned == 0:
            raise ValueError(f"policy {name!r}, seed {tree.seed}: no row of the log is one that it would have chosen")
        return path

    def candidates(self, runs: Mapping[str, Sequence[Path]]) -> list[RollingCandidate]:
        """Return the policies, then their frozen copies, then the best fixed arm."""
        learning, frozen = [], []
        for place, (name, paths) in enumerate(runs.items()):
            problems = self._problems(paths[0].probabilities[self._n_before :])
            n_learned = float(np.mean([path.n_learned for path in paths]))
            earned = tuple(self._earned(path.probabilities, 0) for path in paths)
            learning.append(RollingCandidate(name, "policy", earned, n_learned, len(runs) + place, problems))
            earned = tuple(self._earned(path.frozen, self._n_before) for path in paths)
            problems = self._problems(paths[0].frozen)
            frozen.append(RollingCandidate(frozen_name(name), "frozen", earned, problems=problems))
        earned = (self._rewards[:, self._fixed],) * len(next(iter(runs.values())))
        problems = self._problems(always(self._data, self.fixed_arm)[self._n_before :])
        return [*learning, *frozen, RollingCandidate(BEST_FIXED, "fixed", earned, problems=problems)]

    def _earned(self, probabilities: Float64, start: int) -> Float64:
        earned = np.zeros(len(self._rewards))
        earned[start:] = np.einsum("nk,nk->n", probabilities, self._rewards[start:])
        return earned

    def _problems(self, probabilities: Float64) -> tuple[str, ...]:
        """Return why a log cannot support the value of such choices on the rows after the first part."""
        if not isinstance(self._data, LoggedData):
            return ()
        later = self._data.subset(np.arange(self._n_before, len(self._data)))
        return diagnose(OffPolicyProblem(later, probabilities)).problems
