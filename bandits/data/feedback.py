"""What a data set teaches, in the one form that policies read: which arm brought which reward on which row."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bandits.checks import Bool, Float64, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows on which the rewards of the same arms are known.

    Attributes:
        rows: m rows of the data.
        arms: the arms known on them, a of them.
        rewards: (m, a) float64.
        weights: (m,) float64, or None where every row counts once.
    """

    rows: slice | Int64
    arms: range | tuple[int, ...]
    rewards: Float64
    weights: Float64 | None


class Feedback:
    """The known rewards of a data set: on row `rows[i]` arm `actions[i]` brought `rewards[i]`.

    A log has one entry a row; full information has one for each observed arm of a row, row by row.

    Attributes:
        n_rows: n.
        n_arms: k.
        rewards: (m,) float64.
        weights: (m,) float64, or None where every entry counts once.
        propensities: (m,) float64, with which a logging policy took the arm; None where no policy chose what is known.
        available: (n, k) bool, the arms that could be chosen or are observed; None means all.
    """

    def __init__(
        self,
        rewards: Float64,
        n_arms: int,
        *,
        taken: Int64 | None = None,
        propensities: Float64 | None = None,
        weights: Float64 | None = None,
        available: Bool | None = None,
    ) -> None:
        """Take the columns of checked data.

        Args:
            rewards: (n,) float64 of a log; (n, k) float64 of full information, finite where `available`.
            n_arms: k.
            taken: (n,) int64, a log's actions; None for full information.
            propensities: (n,) float64 of a log.
            weights: (n,) float64 of a log.
            available: (n, k) bool.
        """
        self.n_rows, self.n_arms = len(rewards), n_arms
        self.propensities, self.weights, self.available = propensities, weights, available
        self._taken = taken
        partly = taken is None and available is not None
        self.rewards: Float64 = rewards[available] if partly else rewards.reshape(-1)

    @property
    def complete(self) -> bool:
        """Return whether every arm's reward is known on every row."""
        return self._taken is None and self.available is None

    def single(self) -> tuple[int, float, float] | None:
        """Return arm, reward and weight of the only entry of a log, as a single decision has it; None of others."""
        if self._taken is None or self.n_rows != 1:
            return None
        return self._taken.item(), self.rewards.item(), 1.0 if self.weights is None else self.weights.item()

    @cached_property
    def rows(self) -> Int64:
        """Return (m,) int64, the row of each entry."""
        if self._taken is not None:
            return np.arange(self.n_rows)
        return np.repeat(np.arange(self.n_rows), self.n_arms if self.available is None else self.available.sum(axis=1))

    @cached_property
    def actions(self) -> Int64:
        """Return (m,) int64, the arm of each entry."""
        if self._taken is not None:
            return self._taken
        if self.available is None:
            return np.tile(np.arange(self.n_arms), self.n_rows)
        return np.nonzero(self.available)[1]

    def arm_sums(self, factors: Float64 | None = None) -> tuple[Float64, Float64]:
        """Return the sums of factor * reward and of factor over each arm's entries, both (k,) float64.

        Args:
            factors: (m,) float64; None takes the weights.
        """
        factors = self.weights if factors is None else factors
        if factors is None and self.complete:
            return self.rewards.reshape(-1, self.n_arms).sum(axis=0), np.full(self.n_arms, float(self.n_rows))
        weighted = self.rewards if factors is None else self.rewards * factors
        counts = np.bincount(self.actions, factors, self.n_arms)
        return np.bincount(self.actions, weighted, self.n_arms).astype(np.float64), counts.astype(np.float64)

    def by_arm(self) -> tuple[Float64, Float64]:
        """Return rewards and weights as (k, n) float64 each; both are 0 where nothing is known."""
        rewards, weights = np.zeros((self.n_arms, self.n_rows)), np.zeros((self.n_arms, self.n_rows))
        rewards[self.actions, self.rows] = self.rewards
        weights[self.actions, self.rows] = 1.0 if self.weights is None else self.weights
        return rewards, weights

    def blocks(self, max_rows: int) -> Iterator[Block]:
        """Yield all entries in blocks of at most `max_rows` rows, on each of which the same arms are known."""
        if self.complete:
            rewards = self.rewards.reshape(-1, self.n_arms)
            for start in range(0, self.n_rows, max_rows):
                part = slice(start, min(start + max_rows, self.n_rows))
                yield Block(part, range(self.n_arms), rewards[part], None)
            return
        if len(self.rewards) == 1:  # a single decision, as online learning has it
            arm = int((self.actions if self._taken is None else self._taken)[0])
            yield Block(slice(None), (arm,), self.rewards[:, None], self.weights)
            return
        order = np.argsort(self.actions, kind="stable")
        ends = np.cumsum(np.bincount(self.actions, minlength=self.n_arms)).tolist()
        for arm, (start, end) in enumerate(zip([0, *ends], ends, strict=False)):
            for first in range(start, end, max_rows):
                entries = order[first : min(first + max_rows, end)]
                rows = entries if self._taken is not None else self.rows[entries]
                weights = None if self.weights is None else self.weights[entries]
                yield Block(rows, (arm,), self.rewards[entries][:, None], weights)
