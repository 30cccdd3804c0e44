"""The result of `simulate`: mean reward and regret of each policy, over seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bandits.checks import Float64
from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulationRow(Estimate):
    """What a policy that learns as it goes earned, and lost against the best arm of each decision.

    Attributes:
        name: of the policy.
        value: mean reward a decision, noise included.
        low: lower bound of its t interval over seeds.
        high: upper bound of its t interval over seeds.
        regret: cumulative regret at the end, with a t interval over seeds.
        cumulative_regret: for each seed, the sum of (best arm's mean reward - chosen arm's mean reward) so far, at each
            of the simulation's `decisions`.
        by_seed: for each seed, mean reward a decision.
        arm_shares: how often each arm was chosen, over all seeds.
    """

    name: str
    regret: Estimate
    cumulative_regret: tuple[tuple[float, ...], ...]
    by_seed: tuple[float, ...]
    arm_shares: dict[str, float]

    def regret_curve(self, confidence: float = 0.95) -> list[Estimate]:
        """Return the mean cumulative regret at each of `decisions`, with a t interval over seeds.

        With one seed the interval is the value itself: nothing is known of its spread.
        """
        return over_seeds(np.array(self.cumulative_regret), confidence)


@dataclass(frozen=True, slots=True, repr=False)
class Simulation(Results[SimulationRow]):
    """Policies that learned online in one environment, all with the same contexts and rewards.

    Attributes:
        rows: one a policy, in the order given.
        environment: name of its class.
        n_decisions: decisions of each run.
        update_every: decisions between two updates.
        seeds: one run each.
        decisions: after how many decisions the cumulative regrets were taken.
        confidence: of the t intervals over seeds.
    """

    kind: ClassVar[str] = "simulation"

    rows: tuple[SimulationRow, ...]
    environment: str
    n_decisions: int
    update_every: int
    seeds: tuple[int, ...]
    decisions: tuple[int, ...]
    confidence: float

    def table(self) -> Table:
        """Return one line a policy, the policy of least regret last."""
        seeds = f"{len(self.seeds)} seed" + ("s" if len(self.seeds) > 1 else "")
        best = min(self.rows, key=lambda row: row.regret.value)
        return Table(
            title=f"{self.environment}, {self.n_decisions} decisions, {seeds}, {self.confidence:.0%} intervals",
            headings=("name", "mean reward", "cumulative regret"),
            lines=tuple((row.name, str(row), f"{row.regret:.2f}") for row in self.rows),
            remarks=(f"{best.name} has the least regret: {best.regret:.2f} after {self.n_decisions} decisions.",),
        )


def over_seeds(values: Float64, confidence: float) -> list[Estimate]:
    """Return the mean over seeds of each column of (seeds, m) with its t interval; one seed gives no width."""
    from scipy.special import stdtrit  # slow to import

    mean, n = values.mean(axis=0), len(values)
    spread = np.zeros_like(mean)
    if n > 1:
        spread = stdtrit(n - 1, 0.5 + confidence / 2) * values.std(axis=0, ddof=1) / np.sqrt(n)
    return [Estimate(m, m - s, m + s) for m, s in zip(mean.tolist(), spread.tolist(), strict=True)]
