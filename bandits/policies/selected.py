"""Whichever of two policies does better on rows that it has not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from bandits.checks import Bool, Float32, Float64, whole
from bandits.data.policy_data import PolicyData
from bandits.data.splits import query_ranks
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.policy import Policy
from bandits.policies.reward_kind import RewardKind
from bandits.policies.state import Arrays, PolicyState

Side = Literal["first", "second"]
_SIDES: tuple[Side, Side] = ("first", "second")
_KINDS: tuple[RewardKind, ...] = ("any", "share", "binary")  # each takes less than the one before


class Selected(Policy):
    """Chooses as the one of two policies whose value is higher on rows held out; as the first where they are equal.

        value = sum of w r / sum of w,   w = policy's probability of the arm / propensity,

    over all rows, each valued by what the policy knows without it: the rows of one update are parted into folds, and
    those of a fold are valued by the policy after all earlier rows and the other folds; an update of fewer queries than
    folds, such as a row that comes alone, by the policy before it. Where every arm is known, and on rows without
    propensities, w is the probability alone. Both policies then learn all rows.

    Of more than two: `Selected(a, Selected(b, c))`. An update costs `n_folds` + 1 of each policy's. On its own choices
    the other policy's value is of few rows, because it would often have chosen otherwise: made for logs of a policy
    that explores. Two values close together are told apart by luck; the first is best the simpler one.

    Args:
        first: None takes `BestFixedArm()`.
        second: None takes `LinUCB(ucb_width=0)`, plain ridge regression.
        n_folds: in [2, 100].
        arm_names: see `Policy`; those of the two policies do not matter.

    Source: held-out values: Stone 1974, Cross-Validatory Choice and Assessment of Statistical Predictions; of rows that
    come one by one: Dawid 1984, The Prequential Approach; the estimate: Swaminathan and Joachims 2015, The
    Self-Normalized Estimator for Counterfactual Learning, eq. 8.
    """

    def __init__(
        self,
        first: Policy | None = None,
        second: Policy | None = None,
        *,
        n_folds: int = 5,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.first: Policy = BestFixedArm() if first is None else first
        self.second: Policy = LinUCB(ucb_width=0.0) if second is None else second
        for side in _SIDES:
            if not isinstance(getattr(self, side), Policy):
                raise TypeError(f"{side} must be a Policy, got {getattr(self, side)!r}")
        self.n_folds = whole(n_folds, 2, 100, "n_folds")
        self.reward_kind = max(self.first.reward_kind, self.second.reward_kind, key=_KINDS.index)

    @property
    def chosen(self) -> Side:
        """Return which of the two policies chooses."""
        return self._chosen(self.learned)

    def held_out_values(self) -> dict[Side, float]:
        """Return both policies' values on the rows held out; -inf where none says anything of them."""
        return self._values(self.learned)

    def _values(self, state: PolicyState) -> dict[Side, float]:
        rewards, weights = state.shared["held_out_rewards"].tolist(), state.shared["held_out_weights"].tolist()
        values = (reward / weight if weight > 0 else -np.inf for reward, weight in zip(rewards, weights, strict=True))
        return dict(zip(_SIDES, values, strict=True))

    def _chosen(self, state: PolicyState) -> Side:
        values = self._values(state)
        return "second" if values["second"] > values["first"] else "first"

    def _policy(self, side: Side) -> Policy:
        return self.first if side == "first" else self.second

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return what both know before any data."""
        parts = {side: self._policy(side)._initial_state(arm_names, n_features) for side in _SIDES}
        held_out = {name: np.zeros(2) for name in ("held_out_rewards", "held_out_weights")}
        return _joined(PolicyState(arm_names, n_features, shared=held_out), parts)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Value both on rows left out, then let both learn all."""
        parts = {side: _part(state, side) for side in _SIDES}
        sums = np.stack([state.shared["held_out_rewards"], state.shared["held_out_weights"]])
        for column, side in enumerate(_SIDES):
            for before, held_out in self._folds(self._policy(side), parts[side], data):
                sums[:, column] += _value(self._policy(side), before, held_out)
        held_out_sums = {"held_out_rewards": sums[0], "held_out_weights": sums[1]}
        learned = {side: self._policy(side)._update(parts[side], data) for side in _SIDES}
        return _joined(state.updated(shared=held_out_sums), learned)

    def _folds(self, policy: Policy, state: PolicyState, data: PolicyData) -> Sequence[tuple[PolicyState, PolicyData]]:
        """Return what is known without the rows of some queries, and these rows."""
        ranks = query_ranks(data, np.random.default_rng(len(data)))
        if ranks.max() + 1 < self.n_folds:
            return [(state, data)]
        folds = [ranks % self.n_folds == fold for fold in range(self.n_folds)]
        return [(policy._update(state, data.subset(~held_out)), data.subset(held_out)) for held_out in folds]

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject what one of the two rejects."""
        for side in _SIDES:
            known = {f"{group}.": f"{group}.{side}." for group in ("per_arm", "shared")}
            own = {
                group + name.removeprefix(prefix): array
                for group, prefix in known.items()
                for name, array in arrays.items()
                if name.startswith(prefix)
            }
            self._policy(side).check_arrays(own)

    def check_state(self) -> None:
        """Reject what one of the two rejects."""
        for side in _SIDES:
            policy = self._policy(side).clone()
            policy.state = _part(self.learned, side)
            policy.check_state()

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return those of the policy of higher value."""
        side = self._chosen(state)
        return self._policy(side)._probabilities(_part(state, side), contexts, available)


def _value(policy: Policy, state: PolicyState, data: PolicyData) -> tuple[float, float]:
    """Return the sums of w r and of w over the rows' known rewards."""
    feedback = data.feedback()
    probabilities = policy._probabilities(state, data.contexts, feedback.available)
    weights = probabilities[feedback.rows, feedback.actions]
    if feedback.weights is not None:
        weights = weights * feedback.weights
    if feedback.propensities is not None:
        weights = weights / feedback.propensities
    return float(weights @ feedback.rewards), float(weights.sum())


def _part(state: PolicyState, side: Side) -> PolicyState:
    """Return what one policy knows."""

    def own(arrays: Arrays) -> Arrays:
        return {name.removeprefix(f"{side}."): array for name, array in arrays.items() if name.startswith(f"{side}.")}

    return state.derive(
        ("part", side), lambda: PolicyState(state.arm_names, state.n_features, own(state.per_arm), own(state.shared))
    )


def _joined(state: PolicyState, parts: Mapping[Side, PolicyState]) -> PolicyState:
    """Return a state with what each policy knows, under its own names."""
    per_arm = {f"{side}.{name}": array for side, part in parts.items() for name, array in part.per_arm.items()}
    shared = {f"{side}.{name}": array for side, part in parts.items() for name, array in part.shared.items()}
    joined = state.updated(per_arm, shared)
    joined.derived.clear()
    joined.derived.update({("part", side): part for side, part in parts.items()})
    return joined
