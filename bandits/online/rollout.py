"""A policy on trial beside the arm that has always served: in shadow, on a share of the queries, or on all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bandits import checks
from bandits.checks import Bool, Float32, Float64
from bandits.data.decision import Decision
from bandits.policies.distributions import uniform_over
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState
from bandits.policies.wrapped_policy import WrappedPolicy


class Rollout(WrappedPolicy):
    """Mixes the incumbent arm, a policy on trial and uniform exploration, with exact propensities.

    probabilities = share * policy.probabilities + exploration / (number of available arms) + the rest on the incumbent

    A share of 0 is shadow mode: the policy decides nothing, and what it would have done is logged with every decision.
    What it would have earned can be told only where other arms than the incumbent are seen: from the exploration.
    Where the incumbent is not available, its part is the policy's.

    Args:
        policy: on trial; what is learned, and the arms, are its own.
        incumbent: name of the arm that serves otherwise.
        share: of the queries that the policy decides, in [0, 1 - exploration].
        exploration: of the queries that any available arm may get, in [0, 1].

    Raises:
        ValueError: if a share is out of its range, or the incumbent is none of the policy's arms (of a policy that
            knows none yet, at its first choice).
    """

    def __init__(self, policy: Policy, incumbent: str, *, share: float = 0.0, exploration: float = 0.05) -> None:
        super().__init__(policy)
        self.incumbent = incumbent
        self.exploration = checks.within(exploration, 0.0, 1.0, "exploration")
        self.share = checks.within(share, 0.0, largest_share(self.exploration), "share")
        if policy.arm_names:
            self._place(policy.arm_names)

    def _place(self, arm_names: tuple[str, ...]) -> int:
        """Return the incumbent's place among the arms."""
        if self.incumbent not in arm_names:
            raise ValueError(f"incumbent must be one of the arms {', '.join(arm_names)}, got {self.incumbent!r}")
        return arm_names.index(self.incumbent)

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the mixture."""
        return self._mixed(state, self.policy._probabilities(state, contexts, available), available)

    def _decide(
        self, state: PolicyState, context: Float32, available: Bool | None, rng: np.random.Generator
    ) -> Decision:
        """Draw an arm from the mixture, and say what the policy proposed, from the same state."""
        own = self.policy._probabilities(state, context, available)
        decision = self._drawn(state, self._mixed(state, own, available)[0].tolist(), rng)
        return replace(decision, proposed=dict(zip(state.arm_names, own[0].tolist(), strict=True)))

    def _mixed(self, state: PolicyState, own: Float64, available: Bool | None) -> Float64:
        place = self._place(state.arm_names)
        mixed = self.share * own
        rest = max(0.0, 1.0 - self.share - self.exploration)
        if available is None:
            mixed[:, place] += rest
            mixed += self.exploration / mixed.shape[1]
            return mixed
        there = available[:, place]
        mixed[~there] += rest * own[~there]
        mixed[there, place] += rest
        mixed += self.exploration * uniform_over(available)
        return np.asarray(mixed)


def largest_share(exploration: float) -> float:
    """Return what exploration leaves of 1, without the error of binary fractions: 0.1 for 0.9."""
    return round(1.0 - exploration, 12)
