"""What policies that weigh what an arm costs share: a model of the costs beside that of the rewards."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from bandits.checks import Bool, Float32, Float64
from bandits.data.array_data import Data
from bandits.data.policy_data import PolicyData
from bandits.policies.distributions import greedy
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.linear.linear_policy import LinearPolicy
from bandits.policies.linear.prior_precision import FREE
from bandits.policies.policy import Policy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState
from bandits.policies.wrapped_policy import WrappedPolicy

_COST = "cost."  # begins the names of the cost model's arrays
OWN = "price."  # begins those of a subclass's own
_MODELS = "models of rewards and costs"


class Priced(WrappedPolicy, ABC):
    """Learns costs as another policy learns rewards, with the same settings; a subclass weighs the two.

    But for one: a linear policy shrinks an arm's mean reward to what all arms share, and here not its mean cost,
    because what arms cost may differ a hundredfold. An arm of which no cost is known is taken to cost nothing, and
    predicted costs below 0 to be 0.

    Args:
        policy: one that `PredictsRewards`, or one that forgets around it; None takes `LinUCB(ucb_width=0)`, plain ridge
            regression. How it explores does not count: explore around this policy, `EpsilonGreedy(Budgeted(...))`.

    Raises:
        TypeError: if the policy predicts no rewards, learns shares or 0 and 1 only, or weighs costs already.
        ValueError: if it has learned from rows, whose costs it does not know; also from data without costs.
    """

    def __init__(self, policy: Policy | None) -> None:
        super().__init__(LinUCB(ucb_width=0.0) if policy is None else policy)
        predictor = self.policies_inside[-1]
        if not isinstance(predictor, PredictsRewards) or any(isinstance(one, Priced) for one in self.policies_inside):
            raise TypeError(f"policy must predict rewards, and weigh no costs itself, got {self.policy!r}")
        if self.policy.reward_kind != "any":
            raise TypeError(f"policy must learn any number, because it learns costs too; {self.policy!r} does not")
        self._predictor = predictor
        self._use_for_costs()
        state = self.policy.state
        if state is not None and not any(name.startswith(_COST) for name in (*state.per_arm, *state.shared)):
            raise ValueError("policy must have learned nothing yet: it knows no costs; fit it inside")

    def _use_for_costs(self) -> None:
        """Keep a copy of the inner policy that shrinks no arm's mean cost to the others'."""
        inside = self.policies_inside
        costs = self.policy.clone()
        own = inside[-1].get_params().get("intercept_precision")
        if isinstance(inside[-1], LinearPolicy) and isinstance(own, float):
            costs.set_params(**{"policy__" * (len(inside) - 1) + "intercept_precision": min(own, FREE)})
        self._cost_policy = costs
        predictor = costs.policies_inside[-1] if isinstance(costs, WrappedPolicy) else costs
        self._cost_predictor = cast("PredictsRewards", predictor)

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the priors of rewards and of costs."""
        rewards, costs = (one._initial_state(arm_names, n_features) for one in (self.policy, self._cost_policy))
        return _joined(rewards, costs)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn the rewards, and the costs as if they were rewards."""
        known = cast("Data", data)
        if known.costs is None:
            raise ValueError(
                f"{type(self).__name__} learns what arms cost, and the data hold no costs: give each row its cost"
            )
        rewards, costs = self._models(state)
        kept = {name: array for name, array in state.per_arm.items() if name.startswith(OWN)}
        shared = {name: array for name, array in state.shared.items() if name.startswith(OWN)}
        as_rewards = replace(known, rewards=known.costs)
        return _joined(self.policy._update(rewards, data), self._cost_policy._update(costs, as_rewards), kept, shared)

    def predict_costs(self, contexts: Float32) -> Float64:
        """Return each arm's predicted mean cost, (n, k) float64, at least 0.

        Args:
            contexts: (n, d) float32.
        """
        return self._predicted(*self._asked(contexts))[1]

    def _predicted(self, state: PolicyState, contexts: Float32) -> tuple[Float64, Float64]:
        """Return each arm's predicted reward and cost, both (n, k) float64."""
        rewards, costs = self._models(state)
        predicted = self._cost_predictor._predict_rewards(costs, contexts)
        return self._predictor._predict_rewards(rewards, contexts), np.where(predicted > 0, predicted, 0.0)

    def _models(self, state: PolicyState) -> tuple[PolicyState, PolicyState]:
        """Return what is known of rewards, and of costs, each as the inner policy's state."""
        return state.derive(_MODELS, lambda: (_part(state, ""), _part(state, _COST)))

    def _with_own(self, state: PolicyState, per_arm: Arrays | None = None, shared: Arrays | None = None) -> PolicyState:
        """Return a state with other arrays of a subclass's own; what is known of rewards and costs stays solved."""
        new = state.updated(per_arm, shared)
        new.derived[_MODELS] = self._models(state)
        return new

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject what the inner policy rejects, of rewards and of costs."""
        groups = ("per_arm.", "shared.")
        of_costs = {
            name.replace(_COST, "", 1): array
            for name, array in arrays.items()
            if name.startswith(tuple(group + _COST for group in groups))
        }
        self.policy.check_arrays(arrays)
        self._cost_policy.check_arrays(of_costs)

    def check_state(self) -> None:
        """Reject what the inner policy rejects, of rewards and of costs."""
        for policy, model in zip((self.policy, self._cost_policy), self._models(self.learned), strict=True):
            checked = policy.clone()
            checked.state = model
            checked.check_state()

    def add_arm(self, name: str, like: str | Sequence[str] | None = None, *, rows: float | None = None) -> None:
        """Add an arm, whose costs start as its rewards do."""
        before = self.state
        super().add_arm(name, like, rows=rows)
        self._use_for_costs()  # which may need to know the arm
        state = self.state
        if before is None or state is None or isinstance(like, str):
            return
        costs = self._models(before)[1]
        known = self._cost_policy._initial_state((name,), state.n_features).per_arm
        if like:
            places = [before.arm_names.index(one) for one in like]
            known = self._cost_policy._pooled(costs, places, known, rows)
        own = {key: array[[-1]] for key, array in state.per_arm.items()}
        self.state = state.with_known(len(before.arm_names), {**own, **_named(known)})


def chosen(rewards: Float64, costs: Float64, weight: float, available: Bool | None) -> Float64:
    """Return all probability on the available arm of the highest reward - weight * cost, (n, k); ties share it."""
    return greedy(rewards - weight * costs, available)


def _part(state: PolicyState, prefix: str) -> PolicyState:
    def kept(arrays: Arrays) -> dict[str, np.ndarray]:
        if prefix:
            return {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        return {name: a for name, a in arrays.items() if not name.startswith((_COST, OWN))}

    return replace(state, per_arm=kept(state.per_arm), shared=kept(state.shared), derived={})


def _joined(
    rewards: PolicyState, costs: PolicyState, per_arm: Arrays | None = None, shared: Arrays | None = None
) -> PolicyState:
    return replace(
        rewards,
        per_arm={**rewards.per_arm, **_named(costs.per_arm), **(per_arm or {})},
        shared={**rewards.shared, **_named(costs.shared), **(shared or {})},
        derived={_MODELS: (rewards, costs)},
    )


def _named(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {_COST + name: array for name, array in arrays.items()}
