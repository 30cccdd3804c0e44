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
    Where the incumbent is not available, its part is the policy's. Where the exploration's part of an arm is below the
    floor, the exploration is as large as the floor asks for, and policy and incumbent share what is left as before.

    Args:
        policy: on trial; what is learned, and the arms, are its own.
        incumbent: name of the arm that serves otherwise.
        share: of the queries that the policy decides, in [0, 1 - exploration].
        exploration: of the queries that any available arm may get, in [0, 1].
        propensity_floor: least probability of each available arm, in [0, 1 / number of arms]; so no weight
            1 / propensity is beyond 1 / propensity_floor.

    Raises:
        ValueError: if a number is out of its range, or the incumbent is none of the policy's arms (of a policy that
            knows none yet, at its first choice).
    """

    def __init__(
        self,
        policy: Policy,
        incumbent: str,
        *,
        share: float = 0.0,
        exploration: float = 0.05,
        propensity_floor: float = 0.0,
    ) -> None:
        super().__init__(policy)
        self.incumbent = incumbent
        self.exploration = checks.within(exploration, 0.0, 1.0, "exploration")
        self.share = checks.within(share, 0.0, largest_share(self.exploration), "share")
        self.propensity_floor = checks.within(propensity_floor, 0.0, 1.0, "propensity_floor")
        if policy.arm_names:
            self._place(policy.arm_names)

    def most_weight(self, compared_with: str) -> float:
        """Return the most that |proposed(a) - [a = compared_with]| / propensity can be, whatever is proposed.

        It is infinite where an arm may have no probability. The policy must know its arms, of which fewer may be
        available.

        Args:
            compared_with: an arm.
        """
        n_arms = len(self.policy.arm_names)
        share, exploration = self._parts(np.array(float(n_arms)))
        each = float(exploration) / n_arms
        own = max(0.0, min(float(share), 1.0 - float(share) - float(exploration)))
        least = each + own if compared_with == self.incumbent else each
        return 1.0 / least if least > 0 else np.inf

    def _parts(self, n_available: Float64) -> tuple[Float64, Float64]:
        """Return the policy's share and the exploration where so many arms are available, in the shape given."""
        exploration = np.clip(self.propensity_floor * n_available, self.exploration, 1.0)
        left = (1.0 - exploration) / (1.0 - self.exploration) if self.exploration < 1 else np.ones_like(exploration)
        return self.share * left, exploration

    def _place(self, arm_names: tuple[str, ...]) -> int:
        """Return the incumbent's place among the arms."""
        if self.incumbent not in arm_names:
            raise ValueError(f"incumbent must be one of the arms {', '.join(arm_names)}, got {self.incumbent!r}")
        if self.propensity_floor * len(arm_names) > 1 + checks.PROBABILITY_TOLERANCE:
            most = f"1 / {len(arm_names)}, the number of arms"
            raise ValueError(f"propensity_floor must be at most {most}, got {self.propensity_floor}")
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
        if available is None:
            n_arms = own.shape[1]
            policy, uniform = map(float, self._parts(np.array(float(n_arms))))
            whole: Float64 = policy * own + uniform / n_arms
            whole[:, place] += max(0.0, 1.0 - policy - uniform)
            return whole
        share, exploration = self._parts(np.add.reduce(available, axis=1, keepdims=True, dtype=np.float64))
        rest = np.maximum(0.0, 1.0 - share - exploration)
        there = available[:, place : place + 1]
        mixed = np.where(there, share, share + rest) * own + exploration * uniform_over(available)
        mixed[:, place] += (rest * there)[:, 0]
        return np.asarray(mixed)


def largest_share(exploration: float) -> float:
    """Return what exploration leaves of 1, without the error of binary fractions: 0.1 for 0.9."""
    return round(1.0 - exploration, 12)
