"""The interface of a simulated environment: contexts, and the reward of every arm, one of which is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from bandits import checks
from bandits.checks import Float32, Float64


@dataclass(frozen=True, eq=False)
class EnvironmentBatch:
    """Contexts with the reward of every arm, one decision a row.

    Args:
        contexts: (n, d) float32, finite.
        rewards: (n, k) float64, finite. What each arm would earn, noise included.
        mean_rewards: (n, k) float64, finite. Their expectations, from which regret is counted; None where
            rewards carry no noise.
    """

    contexts: Float32
    rewards: Float64
    mean_rewards: Float64 | None = None

    def __post_init__(self) -> None:
        contexts = checks.contexts(self.contexts)
        rewards = checks.matrix(self.rewards, "rewards", np.float64, (len(contexts), None))
        checks.finite(rewards, "rewards")
        means = rewards
        if self.mean_rewards is not None:
            means = checks.matrix(self.mean_rewards, "mean_rewards", np.float64, (len(contexts), rewards.shape[1]))
            checks.finite(means, "mean_rewards")
        for name, value in (("contexts", contexts), ("rewards", rewards), ("mean_rewards", means)):
            object.__setattr__(self, name, checks.frozen(value))

    @property
    def means(self) -> Float64:
        """Return (n, k) float64, the expected rewards."""
        return self.rewards if self.mean_rewards is None else self.mean_rewards


class Environment(ABC):
    """A source of contexts and rewards to simulate decisions in. A subclass names its arms and draws batches."""

    @property
    @abstractmethod
    def arm_names(self) -> tuple[str, ...]:
        """Return the k arms."""

    @abstractmethod
    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Draw the contexts and rewards of one run, in order.

        Whatever is random, coefficients included, is drawn from `rng`, so that two policies that are simulated with
        one seed see the same contexts and rewards (common random numbers).

        Args:
            n_decisions: n, at least 1.
            rng: of this run.
        """


def arm_count(n_arms: int) -> tuple[str, ...]:
    """Return the names arm_0, arm_1, ... of at least two arms."""
    return tuple(f"arm_{index}" for index in range(checks.at_least(n_arms, 2, "n_arms")))
