"""The result of `simulate`: regret over decisions, for every seed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import stdtrit

from bandits.statistics.saved_result import SavedResult
from bandits.statistics.value import Estimate


@dataclass(frozen=True, slots=True)
class Simulation(SavedResult):
    """What a policy that learns as it goes lost against the best arm of each situation.

    Attributes:
        policy, environment: names of their classes.
        n_decisions, update_every: of each run.
        seeds: one run each.
        decisions: after how many decisions the figures below were taken.
        cumulative_regret: for each seed, the sum of (best arm's mean reward - chosen arm's mean reward) so far.
        mean_reward: for each seed, mean reward received in the whole run, noise included.
        arm_shares: how often each arm was chosen, over all seeds.
    """

    kind: ClassVar[str] = "simulation"

    policy: str
    environment: str
    n_decisions: int
    update_every: int
    seeds: tuple[int, ...]
    decisions: tuple[int, ...]
    cumulative_regret: tuple[tuple[float, ...], ...]
    mean_reward: tuple[float, ...]
    arm_shares: dict[str, float]

    def regret_curve(self, confidence: float = 0.95) -> list[Estimate]:
        """Return the mean cumulative regret at each of `decisions`, with a t interval over seeds.

        With one seed the interval is the value itself: nothing is known of its spread.
        """
        curves = np.array(self.cumulative_regret)  # (seeds, points)
        mean, n = curves.mean(axis=0), len(curves)
        spread = np.zeros_like(mean)
        if n > 1:
            spread = stdtrit(n - 1, 0.5 + confidence / 2) * curves.std(axis=0, ddof=1) / np.sqrt(n)
        return [
            Estimate(float(m), float(m - s), float(m + s)) for m, s in zip(mean.tolist(), spread.tolist(), strict=True)
        ]

    def to_text(self) -> str:
        """Return what the reader wants first, in a line."""
        regret = self.regret_curve()[-1]
        return (
            f"{self.policy} in {self.environment}: cumulative regret {regret} after {self.n_decisions} decisions, "
            f"mean reward {np.mean(self.mean_reward):.3f}, {len(self.seeds)} seed(s)"
        )
