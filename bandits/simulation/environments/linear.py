"""A synthetic environment with linear rewards."""

from __future__ import annotations

import numpy as np

from bandits.checks import at_least, not_negative
from bandits.simulation.environments.environment import Environment, EnvironmentBatch, arm_count


class LinearEnvironment(Environment):
    """reward of arm a = x . c_a + noise, x uniform on the unit sphere, c_a ~ N(0, 1) in each coordinate.

    Args:
        n_arms: k >= 2.
        n_features: d >= 1.
        noise: standard deviation of the noise.
    """

    def __init__(self, n_arms: int = 4, *, n_features: int = 10, noise: float = 0.5) -> None:
        self._names = arm_count(n_arms)
        self.n_features = at_least(n_features, 1, "n_features")
        self.noise = not_negative(noise, "noise")

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return arm_0, arm_1, ..."""
        return self._names

    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Draw coefficients, then contexts, then noise."""
        coefficients = rng.normal(size=(self.n_features, len(self._names)))
        contexts = unit_rows(n_decisions, self.n_features, rng)
        means = contexts @ coefficients
        rewards = means + self.noise * rng.normal(size=means.shape)
        return EnvironmentBatch(contexts.astype(np.float32), rewards, means)


def unit_rows(n_rows: int, n_features: int, rng: np.random.Generator) -> np.ndarray:
    """Return (n, d) float64, rows uniform on the unit sphere."""
    rows = rng.normal(size=(n_rows, n_features))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
