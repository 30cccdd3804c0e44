"""Another policy, with some uniform exploration."""

from __future__ import annotations

from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Float64
from bandits.policy import Data, Policy, PolicyState, uniform_over


class EpsilonGreedy(Policy):
    """Follows another policy, but with probability `epsilon` takes any available arm.

    probabilities = (1 - epsilon) * policy.probabilities + epsilon / (number of available arms)

    so every available arm keeps a propensity of at least epsilon / k, and a log that this policy wrote can be
    evaluated off-policy. What is learned, and the arms, are the inner policy's.

    Args:
        policy: the policy to follow, for example `LinUCB(ucb_width=0)`.
        epsilon: in [0, 1].
    """

    def __init__(self, policy: Policy, epsilon: float = 0.1) -> None:
        super().__init__()
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, got {policy!r}")
        if not (isinstance(epsilon, int | float) and 0 <= epsilon <= 1):
            raise ValueError(f"epsilon must be in [0, 1], got {epsilon!r}")
        self.policy = policy
        self.epsilon = epsilon
        self.exact_updates = policy.exact_updates

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return the inner policy's arms."""
        return self.policy.arm_names

    @property
    def state(self) -> PolicyState | None:
        """Return the inner policy's state."""
        return self.policy.state

    @state.setter
    def state(self, state: PolicyState | None) -> None:
        self.policy.state = state

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the inner policy's prior."""
        return self.policy.initial_state(arm_names, n_features)

    def fit(self, data: Data) -> Self:
        """Fit the inner policy."""
        self.policy.fit(data)
        return self

    def update(self, data: Data) -> None:
        """Update the inner policy."""
        self.policy.update(data)

    def add_arm(self, name: str, like: str | None = None) -> None:
        """Add an arm to the inner policy."""
        self.policy.add_arm(name, like)

    def remove_arm(self, name: str) -> None:
        """Remove an arm from the inner policy."""
        self.policy.remove_arm(name)

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return the mixture of the inner policy and uniform exploration."""
        inner = self.policy.probabilities(contexts, available)
        mask = np.ones(inner.shape, np.bool_) if available is None else checks.availability(available, *inner.shape)
        return (1 - self.epsilon) * inner + self.epsilon * uniform_over(mask)
