"""Another policy, with some uniform exploration."""

from __future__ import annotations

from numpy.typing import ArrayLike

from bandits.checks import Float64
from bandits.policies.policy import Policy, uniform_over
from bandits.policies.wrapped_policy import WrappedPolicy


class EpsilonGreedy(WrappedPolicy):
    """Follows another policy, but with probability `epsilon` takes any available arm.

    probabilities = (1 - epsilon) * policy.probabilities + epsilon / (number of available arms)

    so every available arm keeps a propensity of at least epsilon / k, and a log that this policy wrote can be
    evaluated off-policy. What is learned, and the arms, are the inner policy's.

    Args:
        policy: the policy to follow, for example `LinUCB(ucb_width=0)`.
        epsilon: in [0, 1].
    """

    def __init__(self, policy: Policy, epsilon: float = 0.1) -> None:
        super().__init__(policy)
        if not (isinstance(epsilon, int | float) and 0 <= epsilon <= 1):
            raise ValueError(f"epsilon must be in [0, 1], got {epsilon!r}")
        self.epsilon = epsilon

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return the mixture of the inner policy and uniform exploration."""
        chances = self.policy.probabilities(contexts, available) * (1 - self.epsilon)
        if available is None:
            chances += self.epsilon / chances.shape[1]
        else:
            chances += self.epsilon * uniform_over(self.mask(available, len(chances)))
        return chances
