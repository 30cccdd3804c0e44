"""The rules that every simulated environment must keep: `check_environment`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from arms.testing.assertions import global_generators_untouched, hold, instance_of
from bandits.simulation.environments.environment import Environment, EnvironmentBatch

EnvironmentOrMaker = Environment | Callable[[], Environment]

_COLUMNS = ("contexts", "rewards", "means")


def check_environment(environment: EnvironmentOrMaker, n_decisions: int = 50) -> None:
    """Run every check on an environment, or on what a function makes.

    Args:
        environment: an environment; or a function (or class) that returns a new one, each time with the same settings.
        n_decisions: rows of a batch, at least 2.

    Raises:
        AssertionError: naming the rule that does not hold.
    """
    first, second = (instance_of(environment, Environment, "an environment") for _ in range(2))
    names = first.arm_names
    hold(isinstance(names, tuple) and len(names) >= 2, f"arm_names must be a tuple of two names or more, got {names!r}")
    hold(len(set(names)) == len(names), f"arm_names must differ, got {names!r}")
    with global_generators_untouched():
        batch = first.draw(n_decisions, np.random.default_rng(0))
        again = second.draw(n_decisions, np.random.default_rng(0))
        once_more = first.draw(n_decisions, np.random.default_rng(0))
    hold(isinstance(batch, EnvironmentBatch), f"draw must return an EnvironmentBatch, got {type(batch).__name__}")
    shape = (n_decisions, len(names))
    hold(batch.rewards.shape == shape, f"rewards must have shape {shape}, got {batch.rewards.shape}")
    for other, what in ((again, "the same settings"), (once_more, "an earlier draw")):
        same = all(np.array_equal(getattr(batch, name), getattr(other, name)) for name in _COLUMNS)
        hold(same, f"one seed must give one batch, whatever the object ({what}): draw all randomness from rng")
