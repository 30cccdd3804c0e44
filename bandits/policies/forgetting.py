"""What policies that let old rows count less share."""

from __future__ import annotations

from abc import ABC
from typing import ClassVar

import numpy as np

from bandits.checks import Float64
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.policy import Policy
from bandits.policies.reset_on_drift import ResetOnDrift
from bandits.policies.wrapped_policy import WrappedPolicy


class Forgetting(WrappedPolicy, ABC):
    """Learns as another policy does, but from rows that lose weight; a subclass writes `_update`.

    Args:
        policy: the policy to follow; None takes `LinUCB()`.

    Raises:
        TypeError: if the policy cannot let rows count less, or forgets already, by a `ResetOnDrift` too: that goes
            around this one, because its tests are no sums of rows that could lose weight.
    """

    kinds: ClassVar[tuple[type[Policy], ...]] = (AdditivePolicy,)

    def __init__(self, policy: Policy | None) -> None:
        super().__init__(LinUCB() if policy is None else policy)
        inside = self.policies_inside
        if not isinstance(inside[-1], self.kinds) or any(isinstance(one, (Forgetting, ResetOnDrift)) for one in inside):
            kinds = " or ".join(kind.__name__ for kind in self.kinds)
            raise TypeError(
                f"policy must be an {kinds}, which has not begun to forget, or one that explores around it, "
                f"got {self.policy!r}"
            )
        self.exact_updates = False  # the order of the rows matters


def known_rewards(data: PolicyData, row_weights: Float64) -> LoggedData:
    """Return each known reward as a row of its own, with propensity 1 where no policy chose.

    Args:
        data: n rows.
        row_weights: (n,) float64 >= 0, by which the weight of each row is multiplied.
    """
    feedback = data.feedback()
    weights = row_weights[feedback.rows]
    propensities = feedback.propensities
    return LoggedData(
        data.contexts[feedback.rows],
        feedback.actions,
        feedback.rewards,
        np.ones(len(weights)) if propensities is None else propensities,
        data.arm_names,
        weights=weights if feedback.weights is None else weights * feedback.weights,
    )
