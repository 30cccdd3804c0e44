"""A synthetic environment that changes while decisions are made."""

from __future__ import annotations

import numpy as np

from bandits.checks import at_least, not_negative
from bandits.simulation.environments.environment import Environment, EnvironmentBatch, arm_count
from bandits.simulation.environments.linear import unit_rows


class DriftingEnvironment(Environment):
    """Linear rewards whose coefficients are drawn anew `n_changes` times, at equal distances.

    reward of arm a = x . c_a(t) + noise, x uniform on the unit sphere, c_a(t) ~ N(0, 1) in each coordinate,
    constant between changes; regret is counted against the best arm of the moment.

    Args:
        n_arms: k >= 2.
        n_features: d >= 1.
        noise: standard deviation of the noise.
        n_changes: >= 1, within one run.
        gradual: coefficients move in a straight line from one draw to the next instead of jumping.
    """

    def __init__(
        self,
        n_arms: int = 4,
        *,
        n_features: int = 10,
        noise: float = 0.5,
        n_changes: int = 3,
        gradual: bool = False,
    ) -> None:
        self._names = arm_count(n_arms)
        self.n_features = at_least(n_features, 1, "n_features")
        self.noise = not_negative(noise, "noise")
        self.n_changes = at_least(n_changes, 1, "n_changes")
        self.gradual = gradual

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return arm_0, arm_1, ..."""
        return self._names

    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Draw all coefficients, then contexts, then noise."""
        draws = rng.normal(size=(self.n_changes + 1, self.n_features, len(self._names)))
        contexts = unit_rows(n_decisions, self.n_features, rng)
        per_draw = np.einsum("nd,sdk->snk", contexts, draws)
        rows = np.arange(n_decisions)
        if self.gradual:
            place = rows * self.n_changes / n_decisions  # in [0, n_changes)
            before = place.astype(np.int64)
            part = (place - before)[:, None]
            means = (1 - part) * per_draw[before, rows] + part * per_draw[before + 1, rows]
        else:
            means = per_draw[rows * (self.n_changes + 1) // n_decisions, rows]
        rewards = means + self.noise * rng.normal(size=means.shape)
        return EnvironmentBatch(contexts.astype(np.float32), rewards, means)
