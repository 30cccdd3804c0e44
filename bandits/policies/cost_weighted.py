"""Reward minus a price, which may be changed after learning."""

from __future__ import annotations

from typing import Self

from bandits.checks import Bool, Float32, Float64, within
from bandits.policies.policy import Policy
from bandits.policies.priced import Priced, chosen
from bandits.policies.state import PolicyState

_MOST = 1e100  # times a cost it is still a number


class CostWeighted(Priced):
    """Chooses the arm of the highest predicted reward - cost_weight * predicted cost; ties share equally.

    Rewards and costs are learned apart, so that one fitted policy serves every weight: `policy.at(10.0)`.

    Args:
        policy: see `Priced`.
        cost_weight: in [0, 1e100], units of reward that a unit of cost is worth: with rewards in [0, 1] and dollars,
            10 gives up a tenth of a reward for a cent.

    Source: the willingness to pay of Hu et al. 2024, RouterBench (arXiv:2403.12031).
    """

    def __init__(self, policy: Policy | None = None, *, cost_weight: float = 1.0) -> None:
        super().__init__(policy)
        self.cost_weight = within(cost_weight, 0, _MOST, "cost_weight")

    def at(self, cost_weight: float) -> Self:
        """Return a policy of the same knowledge with another weight."""
        other = type(self)(self.policy.clone(), cost_weight=cost_weight)
        other.state = self.state
        return other

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return probability 1 for the best net reward (shared equally by ties)."""
        return chosen(*self._predicted(state, contexts), self.cost_weight, available)
