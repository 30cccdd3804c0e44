"""A synthetic environment whose rewards no linear model describes."""

from __future__ import annotations

import numpy as np

from bandits.checks import at_least, not_negative, positive
from bandits.simulation.environments.environment import Environment, EnvironmentBatch, arm_count
from bandits.simulation.environments.linear import unit_rows


class NonLinearEnvironment(Environment):
    """reward of arm a = sqrt(2 / m) sum_j v_ja cos(u_j . x / width + b_j) + noise: a smooth random function.

    Contexts x are uniform on the unit sphere, u_j and v_ja standard normal, b_j uniform in [0, 2 pi): for many
    units a draw from a Gaussian process with a squared-exponential kernel of this width.

    Args:
        n_arms: k >= 2.
        n_features: d >= 1.
        noise: standard deviation of the noise.
        width: > 0; the smaller, the less linear.
        n_units: m >= 1.

    Source: Rahimi and Recht 2007, Random Features for Large-Scale Kernel Machines, algorithm 1.
    """

    def __init__(
        self, n_arms: int = 4, *, n_features: int = 10, noise: float = 0.5, width: float = 0.5, n_units: int = 256
    ) -> None:
        self._names = arm_count(n_arms)
        self.n_features = at_least(n_features, 1, "n_features")
        self.noise = not_negative(noise, "noise")
        self.width = positive(width, "width")
        self.n_units = at_least(n_units, 1, "n_units")

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return arm_0, arm_1, ..."""
        return self._names

    def draw(self, n_decisions: int, rng: np.random.Generator) -> EnvironmentBatch:
        """Draw the functions, then contexts, then noise."""
        directions = rng.normal(size=(self.n_features, self.n_units)) / self.width
        phases = rng.uniform(0, 2 * np.pi, size=self.n_units)
        weights = rng.normal(size=(self.n_units, len(self._names)))
        contexts = unit_rows(n_decisions, self.n_features, rng)
        means = np.sqrt(2 / self.n_units) * np.cos(contexts @ directions + phases) @ weights
        rewards = means + self.noise * rng.normal(size=means.shape)
        return EnvironmentBatch(contexts.astype(np.float32), rewards, means)
