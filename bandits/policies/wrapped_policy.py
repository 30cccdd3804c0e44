"""What policies that change how another policy chooses or learns share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Sequence

from bandits.checks import Bool, Float32, Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.policy import Policy
from bandits.policies.state import Arrays, PolicyState


class WrappedPolicy(Policy, ABC):
    """Learns and chooses as another policy does; a subclass writes `_probabilities` or `_update`, which change that.

    What is learned, and the arms, are the inner policy's.

    Args:
        policy: the policy to follow.
    """

    def __init__(self, policy: Policy) -> None:
        if not isinstance(policy, Policy):
            raise TypeError(f"policy must be a Policy, got {policy!r}")
        self.policy = policy
        self.exact_updates = policy.exact_updates
        self.reward_kind = policy.reward_kind
        self._prior = None

    @property
    def policies_inside(self) -> tuple[Policy, ...]:
        """Return the policy inside, the one inside that, and so on; the last wraps none."""
        further = self.policy.policies_inside if isinstance(self.policy, WrappedPolicy) else ()
        return (self.policy, *further)

    @property
    def _own_names(self) -> tuple[str, ...] | None:  # type: ignore[override]  # an attribute of the base
        return self.policy._own_names

    @property
    def state(self) -> PolicyState | None:
        """Return the inner policy's state."""
        return self.policy.state

    @state.setter
    def state(self, state: PolicyState | None) -> None:
        self.policy.state = state

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the inner policy's prior."""
        return self.policy._initial_state(arm_names, n_features)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn as the inner policy does."""
        return self.policy._update(state, data)

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Choose as the inner policy does."""
        return self.policy._probabilities(state, contexts, available)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject what the inner policy rejects."""
        self.policy.check_arrays(arrays)

    def check_state(self) -> None:
        """Reject what the inner policy rejects."""
        self.policy.check_state()

    def add_arm(self, name: str, like: str | Sequence[str] | None = None, *, rows: float | None = None) -> None:
        """Add an arm to the inner policy."""
        self.policy.add_arm(name, like, rows=rows)

    def remove_arm(self, name: str) -> None:
        """Remove an arm from the inner policy."""
        self.policy.remove_arm(name)
