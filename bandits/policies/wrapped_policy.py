"""What policies that change another policy's choice share."""

from __future__ import annotations

from abc import ABC
from typing import Self

from bandits.policies.policy import Data, Policy, PolicyState


class WrappedPolicy(Policy, ABC):
    """Learns as another policy does; a subclass says how its opinion becomes probabilities.

    What is learned, and the arms, are the inner policy's.

    Args:
        policy: the policy to follow.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, got {policy!r}")
        self.policy = policy
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
