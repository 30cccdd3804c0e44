"""The highest reward within a budget, on average or in every period."""

from __future__ import annotations

import numpy as np

from bandits import checks
from bandits.checks import Bool, Float32, Float64
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.policies.constrained import Constrained
from bandits.policies.policy import Policy
from bandits.policies.priced import OWN
from bandits.policies.state import PolicyState

_SPENT, _DEAREST = OWN + "spent", OWN + "dearest"


class Budgeted(Constrained):
    """Chooses for the highest reward whose mean cost stays within a budget.

    With `period` the budget is hard. After the first fit every row of a log is a decision that was paid for. The weight
    is solved for what is left in the period, and an arm is available only while the largest cost it ever had leaves
    enough for the arm of the least largest cost until the period ends. So `period` decisions cost at most
    period * budget as long as no arm costs more than it ever did, and the least largest cost is within the budget.
    A log that is learned in batches is charged at each update: decisions in between do not see one another.

    Args:
        policy: see `Priced`.
        budget: > 0, cost a decision, in the data's unit; None takes the predicted mean cost of the arm of the highest
            predicted mean reward.
        period: decisions, >= 1, of which the costs must not exceed period * budget; None bounds the mean only.

    Raises:
        ValueError: if the budget is below what the cheapest choices are predicted to cost.

    Source: Agrawal and Devanur 2016, Linear Contextual Bandits with Knapsacks (arXiv:1507.06738), for the price of a
    budget; solving for what is left at every update: Jasin and Kumar 2012, A Re-Solving Heuristic
    with Bounded Revenue Loss for Network Revenue Management.
    """

    def __init__(self, policy: Policy | None = None, *, budget: float | None = None, period: int | None = None) -> None:
        super().__init__(policy)
        self.budget = None if budget is None else checks.positive(budget, "budget")
        self.period = None if period is None else checks.at_least(period, 1, "period")
        if self.period is not None and self.budget is None:
            raise ValueError(f"period {self.period} needs a budget: give the cost that a decision may have on average")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the priors, and nothing spent."""
        prior = super()._initial_state(arm_names, n_features)
        return prior.updated({_DEAREST: np.zeros(len(arm_names))}, {_SPENT: np.zeros(2)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn rewards, costs and the weight, and book what a log's rows cost."""
        costs = data.costs if isinstance(data, LoggedData) else None
        spent, n_decided = state.shared[_SPENT].tolist()
        if self.period is not None and state.n_rows > 0 and costs is not None:
            for cost in costs.tolist():
                spent, n_decided = (spent, n_decided) if n_decided < self.period else (0.0, 0.0)
                spent, n_decided = spent + cost, n_decided + 1
        booked = self._with_own(state, {_DEAREST: _dearest(state, data)}, {_SPENT: np.array([spent, n_decided])})
        return super()._update(booked, data)

    def _figure(self, state: PolicyState, rewards: Float64, costs: Float64) -> tuple[Float64, float]:
        """Return the costs, and what a decision may cost."""
        if self.budget is None:
            return costs, float(costs[:, int(np.argmax(rewards.mean(axis=0)))].mean())
        cheapest = float(costs.min(axis=1).mean())
        if state.n_rows == 0 and cheapest > self.budget:
            raise ValueError(
                f"budget {self.budget:g} a decision is met by no policy: the cheapest choices are predicted to cost "
                f"{cheapest:.3g}; raise it, or add a cheaper arm"
            )
        if self.period is None:
            return costs, self.budget
        left, n_left = self._left(state)
        return costs, max(left / n_left, 0.0)

    def _left(self, state: PolicyState) -> tuple[float, float]:
        """Return what may be spent in the rest of the period, and on how many decisions."""
        assert self.period is not None
        assert self.budget is not None
        spent, n_decided = state.shared[_SPENT].tolist()
        if n_decided >= self.period:
            spent, n_decided = 0.0, 0.0
        return self.period * self.budget - spent, self.period - n_decided

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the choice among the arms that can be paid."""
        if self.period is None:
            return super()._probabilities(state, contexts, available)
        left, n_left = self._left(state)
        dearest = state.per_arm[_DEAREST]
        open_to = np.ones((len(contexts), len(dearest)), np.bool_) if available is None else available
        payable = open_to & (dearest <= left - (n_left - 1) * dearest.min() + 1e-9 * abs(left))
        least = np.where(open_to, dearest, np.inf)
        cheapest = least == least.min(axis=1, keepdims=True)
        return super()._probabilities(state, contexts, np.where(payable.any(axis=1)[:, None], payable, cheapest))


def _dearest(state: PolicyState, data: PolicyData) -> Float64:
    """Return the largest cost that each arm ever had, (k,) float64; 0 for one without any."""
    found = state.per_arm[_DEAREST].copy()
    costs = getattr(data, "costs", None)
    if costs is None:
        return found
    if isinstance(data, LoggedData):
        np.maximum.at(found, data.actions, costs)
        return found
    return np.asarray(np.fmax(found, np.nanmax(np.vstack([np.zeros(len(found)), costs]), axis=0)))
