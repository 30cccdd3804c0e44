"""Another policy, which remembers its last rows only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from bandits import checks
from bandits.data.logged_data import LoggedData
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.forgetting import Forgetting
from bandits.policies.kept_rows import KeptRows
from bandits.policies.policy import Policy
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class SlidingWindow(Forgetting):
    """Knows what another policy would know from the last `n_rows` decisions, of whichever arms, and nothing before.

    Policies that keep rows (`KNN`, `Regression`) drop the older ones. For those that keep sums the rows of the window
    are kept beside them, and the sums are taken anew after each update: no rounding piles up, and the result is that
    of a fit to the window, in whatever batches the rows came.

    Args:
        policy: an `AdditivePolicy` or one of `KeptRows` without data, or one that explores around it; None takes
            `LinUCB()`.
        n_rows: decisions remembered, >= 1.

    Raises:
        ValueError: if the policy has learned from rows, which nobody has any more.

    Source: Garivier and Moulines 2008, On Upper-Confidence Bound Policies for Non-Stationary Bandit Problems, section
    4 (arXiv:0805.3415); Cheung, Simchi-Levi and Zhu 2019, Learning to Optimize under Non-Stationarity, Algorithm 1
    (arXiv:1810.03024), for linear rewards.
    """

    kinds: ClassVar[tuple[type[Policy], ...]] = (AdditivePolicy, KeptRows)

    def __init__(self, policy: Policy | None = None, *, n_rows: int = 1000) -> None:
        super().__init__(policy)
        self.n_rows = checks.at_least(n_rows, 1, "n_rows")
        if self.policy.state is not None and not self._keeps_rows:
            raise ValueError("policy must have learned nothing yet: the rows it learned from are gone; fit it inside")

    @property
    def _keeps_rows(self) -> bool:
        return isinstance(self.policies_inside[-1], KeptRows)

    def add_arm(self, name: str, like: str | Sequence[str] | None = None, *, rows: float | None = None) -> None:
        """Add an arm, which may begin with the rows of another one."""
        if not (like is None or isinstance(like, str)):
            raise ValueError("a window holds rows, which have no mean: give one arm in like, or none")
        super().add_arm(name, like, rows=rows)

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the inner policy's prior, and no rows."""
        prior = super()._initial_state(arm_names, n_features)
        if self._keeps_rows:
            return prior
        per_arm = {name: np.zeros((len(arm_names), 0)) for name in ("window_rewards", "window_weights")}
        shared: Arrays = {
            "window_contexts": np.zeros((0, n_features), np.float32),
            "window_propensities": np.zeros(0),
        }
        return prior.updated(per_arm, shared)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Take the rows, and forget those that are too old."""
        if self._keeps_rows:
            whole = super()._update(state, data)
            per_arm = {name: array[:, -self.n_rows :] for name, array in whole.per_arm.items()}
            return whole.updated(per_arm, {"contexts": whole.shared["contexts"][-self.n_rows :]})
        rewards, weights = data.feedback().by_arm()
        propensities = data.feedback().propensities
        if propensities is None:
            propensities = np.ones(len(data))
        by_arm: Arrays = {"window_rewards": rewards, "window_weights": weights}
        by_row: Arrays = {"window_contexts": data.contexts, "window_propensities": propensities}
        per_arm = {
            name: np.concatenate([state.per_arm[name], new], axis=1)[:, -self.n_rows :] for name, new in by_arm.items()
        }
        shared = {name: np.concatenate([state.shared[name], new])[-self.n_rows :] for name, new in by_row.items()}
        learned = super()._initial_state(state.arm_names, state.n_features)
        rows = _rows_of(state.arm_names, per_arm, shared)
        if rows is not None:
            learned = super()._update(learned, rows)
        return learned.updated(per_arm, shared)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative weights, and what the inner policy rejects."""
        check_not_negative(arrays, "per_arm.window_weights")
        super().check_arrays(arrays)


def _rows_of(arm_names: tuple[str, ...], per_arm: Arrays, shared: Arrays) -> LoggedData | None:
    """Return the rewards in a window as a log's rows; None where it holds none."""
    weights = per_arm["window_weights"]
    rows, arms = np.nonzero(weights.T)
    if not len(rows):
        return None
    return LoggedData(
        shared["window_contexts"][rows],
        arms,
        per_arm["window_rewards"][arms, rows],
        shared["window_propensities"][rows],
        arm_names,
        weights=weights[arms, rows],
    )
