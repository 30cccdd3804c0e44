"""What LinUCB and LinTS share: one Bayesian ridge regression of the reward on the context for each arm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float32, Float64
from bandits.full_information_data import FullInformationData
from bandits.logged_data import LoggedData
from bandits.policy import Data, Policy, PolicyState
from bandits.ridge import Ridge, gram

_CHUNK = 4096  # rows turned to float64 at once: 12 MB at 384 features


class LinearPolicy(Policy):
    """Learns, for each arm, reward = intercept + coefficients . context + noise.

    On `LoggedData` a row teaches the arm that was taken; propensities are not needed, because the regression
    is per arm. On `FullInformationData` a row teaches every arm observed on it. Updates are exact: any
    batches in any order give what one fit gives, and `merge` adds what another shard learned.

    Args:
        prior_precision: precision of each coefficient's prior (ridge's lambda), relative to the noise. The
            default of 1 suits contexts of about unit length, such as normalised sentence embeddings, also
            when rows are fewer than features (a larger one is closer to the best fixed arm); for contexts
            whose features each have unit variance pass about d. `choose_prior_precision` finds it from data.
        intercept_precision: the same for the intercept; small, so that an arm's mean is taken from data and
            not pulled to zero. None leaves the intercept out.
        arm_names: see `Policy`.
    """

    exact_updates = True

    def __init__(
        self,
        prior_precision: float = 1.0,
        intercept_precision: float | None = 0.01,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.prior_precision = positive(prior_precision, "prior_precision")
        self.intercept_precision = (
            None if intercept_precision is None else positive(intercept_precision, "intercept_precision")
        )
        self._ridge: Ridge | None = None

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return each arm's prior: no rows, zero moment, diagonal precision."""
        n_arms, size = len(arm_names), n_features + (self.intercept_precision is not None)
        precision = np.zeros((n_arms, size, size))
        diagonal = np.arange(size)
        precision[:, diagonal, diagonal] = self.prior_precision
        if self.intercept_precision is not None:
            precision[:, -1, -1] = self.intercept_precision
        per_arm = {
            "precision": precision,
            "moment": np.zeros((n_arms, size)),
            "row_weight": np.zeros(n_arms),
            "squared_rewards": np.zeros(n_arms),
        }
        return PolicyState(arm_names, n_features, per_arm)

    @property
    def ridge(self) -> Ridge:
        """Return the posteriors over the arrays of `state`."""
        arrays = self.learned.per_arm
        if self._ridge is None or self._ridge.precision is not arrays["precision"]:
            self._ridge = Ridge(arrays["precision"], arrays["moment"])
        return self._ridge

    def update(self, data: Data) -> None:
        """Learn from further rows; see the class for what each kind of data teaches."""
        aligned = self.align(data)
        for start in range(0, len(aligned), _CHUNK):
            part = slice(start, start + _CHUNK)
            if isinstance(aligned, FullInformationData):
                observed = None if aligned.observed is None else aligned.observed[part]
                self._learn_full(self._rows(aligned.contexts[part]), aligned.rewards[part], observed)
            else:
                self._learn_logged(aligned, part)

    def _learn_full(self, rows: Float64, rewards: Float64, observed: np.ndarray | None) -> None:
        if observed is not None or len(rows) == 1:
            for arm in range(rewards.shape[1]):
                index = np.flatnonzero(observed[:, arm]) if observed is not None else np.arange(len(rows))
                self._learn_arm(arm, rows[index], rewards[index, arm], None)
            return
        arrays = self.learned.per_arm
        shared = gram(rows)  # every arm saw the same rows: one product serves all
        arrays["moment"] += rewards.T @ rows
        arrays["row_weight"] += len(rows)
        arrays["squared_rewards"] += np.einsum("nk,nk->k", rewards, rewards)
        for arm in range(rewards.shape[1]):
            self.ridge.add_gram(arm, shared)

    def _learn_logged(self, log: LoggedData, part: slice) -> None:
        contexts, actions, rewards = log.contexts[part], log.actions[part], log.rewards[part]
        weights = None if log.weights is None else log.weights[part]
        for arm in np.unique(actions).tolist():
            index = np.flatnonzero(actions == arm)
            own = None if weights is None else weights[index]
            self._learn_arm(arm, self._rows(contexts[index]), rewards[index], own)

    def _learn_arm(self, arm: int, rows: Float64, rewards: Float64, weights: Float64 | None) -> None:
        arrays = self.learned.per_arm
        weighted = rewards if weights is None else rewards * weights
        arrays["row_weight"][arm] += len(rows) if weights is None else weights.sum()
        arrays["squared_rewards"][arm] += weighted @ rewards
        self.ridge.add(arm, rows, rewards, weights)

    def predict(self, contexts: ArrayLike) -> tuple[Float64, Float64]:
        """Return each arm's predicted mean reward and its leverage x' P^-1 x, both (n, k) float64.

        The leverage is the variance of the predicted mean in units of the noise variance.
        """
        rows, _ = self.check(contexts, None)
        return self.ridge.mean_and_leverage(self._rows(rows))

    def merge(self, other: Self) -> None:
        """Add what `other`, a policy of the same class and settings, learned from other rows.

        Raises:
            ValueError: if the two differ in parameters, arms or context size.
        """
        mine, theirs = self.learned, other.learned
        same = (set(mine.arm_names), mine.n_features) == (set(theirs.arm_names), theirs.n_features)
        own, others = self.get_params(), other.get_params()
        if type(self) is not type(other) or not same or any(own[n] != others[n] for n in own if n != "arm_names"):
            raise ValueError("merge needs two policies of one class with the same parameters, arms and context size")
        order = [theirs.arm_names.index(name) for name in mine.arm_names]
        prior = self.initial_state(mine.arm_names, mine.n_features)
        for name, array in mine.per_arm.items():
            mine.per_arm[name] = array + theirs.per_arm[name][order] - prior.per_arm[name]

    def _rows(self, contexts: Float32) -> Float64:
        """Return contexts as float64, with a last column of ones for the intercept."""
        if self.intercept_precision is None:
            return contexts.astype(np.float64)
        rows = np.empty((contexts.shape[0], contexts.shape[1] + 1))
        rows[:, :-1] = contexts
        rows[:, -1] = 1.0
        return rows


def positive(value: float, what: str) -> float:
    """Return `value`, a finite number above zero."""
    if not (isinstance(value, int | float) and np.isfinite(value) and value > 0):
        raise ValueError(f"{what} must be a finite number > 0, got {value!r}")
    return value
