"""Another policy, with some uniform exploration."""

from __future__ import annotations

from bandits.checks import Bool, Float32, Float64, within
from bandits.policies.distributions import uniform_over
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState
from bandits.policies.wrapped_policy import WrappedPolicy


class EpsilonGreedy(WrappedPolicy):
    """Follows another policy, but with probability `epsilon` takes any available arm.

    probabilities = (1 - epsilon) * policy.probabilities + epsilon / (number of available arms)

    so every available arm keeps a propensity of at least epsilon / k, and a log that this policy wrote can be
    evaluated off-policy. What is learned, and the arms, are the inner policy's.

    Args:
        policy: the policy to follow; None takes `LinUCB(ucb_width=0)`, plain ridge regression.
        epsilon: in [0, 1].
    """

    def __init__(self, policy: Policy | None = None, *, epsilon: float = 0.1) -> None:
        super().__init__(LinUCB(ucb_width=0.0) if policy is None else policy)
        self.epsilon = within(epsilon, 0, 1, "epsilon")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the mixture of the inner policy and uniform exploration."""
        mixed = self.policy._probabilities(state, contexts, available) * (1 - self.epsilon)
        mixed += self.epsilon / mixed.shape[1] if available is None else self.epsilon * uniform_over(available)
        return mixed
