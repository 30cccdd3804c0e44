"""What the linear policies share: one Bayesian ridge regression of the reward on the context for each arm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float32, Float64, Int64, positive
from bandits.data.logged_data import LoggedData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.linear.learned_precision import SignalSums
from bandits.policies.linear.ridge import Ridge, gram
from bandits.policies.policy import Data, PolicyState

_CHUNK = 1024  # rows turned to float64 at once: 3 MB at 384 features, which stay in the cache
_FAST_ROWS = 32  # from here on leverages are computed by float32 products


class LinearPolicy(AdditivePolicy):
    """Learns, for each arm, reward = intercept + coefficients . context + noise.

    On `LoggedData` a row teaches the arm that was taken; propensities are not needed, because the regression
    is per arm. On `FullInformationData` a row teaches every arm observed on it. Updates are exact: any
    batches in any order give what one fit gives, and `merge` adds what another shard learned.

    Sums, inverses and predicted means are in float64. Batches of 32 contexts or more, and single wide ones where
    nothing was learned since the last batch, get their leverages by float32 products, within about 1e-6 of exact;
    `predict` is float64 throughout.

    Args:
        prior_precision: precision of each coefficient's prior (ridge's lambda), relative to the noise. The
            default of 1 suits contexts of about unit length, such as normalised sentence embeddings, also
            when rows are fewer than features (a larger one is closer to the best fixed arm); for contexts
            whose features each have unit variance pass about d. `choose_prior_precision` finds it from data.
            None learns one for all arms from the sums that are kept, anew after every update, to a factor of 4
            (see `learned_precision`); without an intercept, whose sums that takes, None means 1.
        intercept_precision: the same for the intercept; small, so that an arm's mean is taken from data and
            not pulled to zero. None leaves the intercept out.
        arm_names: see `Policy`.
    """

    def __init__(
        self,
        prior_precision: float | None = 1.0,
        intercept_precision: float | None = 0.01,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.prior_precision = None if prior_precision is None else positive(prior_precision, "prior_precision")
        self.intercept_precision = (
            None if intercept_precision is None else positive(intercept_precision, "intercept_precision")
        )
        self._ridge: Ridge | None = None
        self._signal: SignalSums | None = None  # kept where the prior precision is learned
        self._learned_at: tuple[int, float] | None = None  # version of the ridge, and the precision it has

    def initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return each arm's prior: no rows, zero moment, diagonal precision (0 where it is learned)."""
        n_arms, size = len(arm_names), n_features + (self.intercept_precision is not None)
        precision = np.zeros((n_arms, size, size))  # first, so that an impossible size is refused at once
        precision[:, np.arange(size), np.arange(size)] = self.prior_diagonal(n_features)
        per_arm = {
            "precision": precision,
            "moment": np.zeros((n_arms, size)),
            "row_weight": np.zeros(n_arms),
            "squared_rewards": np.zeros(n_arms),
        }
        return PolicyState(arm_names, n_features, per_arm)

    def prior_diagonal(self, n_features: int) -> Float64:
        """Return the prior precision of each coefficient, the intercept's last, (D,) float64."""
        intercept = [] if self.intercept_precision is None else [self.intercept_precision]
        fixed = 0.0 if self._learns_precision else self.prior_precision or 1.0
        return np.array([fixed] * n_features + intercept)

    @property
    def _learns_precision(self) -> bool:
        return self.prior_precision is None and self.intercept_precision is not None

    @property
    def ridge(self) -> Ridge:
        """Return the posteriors, with the prior precision that the rows so far ask for."""
        ridge = self._sums
        if self._signal is None:
            return ridge
        if self._learned_at is None or self._learned_at[0] != ridge.version:
            arrays = self.learned.per_arm
            found = self._signal.prior_precision(ridge.moment, arrays["row_weight"], arrays["squared_rewards"])
            if self._learned_at is None or self._learned_at[1] != found:
                ridge.add_diagonal(self._feature_diagonal(found))
            self._learned_at = ridge.version, found
        return ridge

    @property
    def _sums(self) -> Ridge:
        """Return the posteriors over the arrays of `state`, to add rows to."""
        arrays = self.learned.per_arm
        if self._ridge is None or self._ridge.precision is not arrays["precision"]:
            self._ridge, self._signal, self._learned_at = Ridge(arrays["precision"], arrays["moment"]), None, None
            if self._learns_precision:
                self._signal = SignalSums(arrays["precision"])
                self._ridge.add_diagonal(self._feature_diagonal(1.0))
        return self._ridge

    def _feature_diagonal(self, value: float) -> Float64:
        """Return (D,) float64: `value` for each feature, 0 for the intercept."""
        return np.array([value] * self.learned.n_features + [0.0])

    def update(self, data: Data) -> None:
        """Learn from further rows; see the class for what each kind of data teaches."""
        aligned = self.align(data)
        if isinstance(aligned, LoggedData):
            for arm, index in _rows_by_arm(aligned.actions):
                weights = None if aligned.weights is None else aligned.weights[index]
                self._learn_arm(arm, aligned.contexts[index], aligned.rewards[index], weights)
        elif aligned.observed is None and len(aligned) > 1:
            for part in _parts(len(aligned)):
                self._learn_all_arms(aligned.contexts[part], aligned.rewards[part])
        else:
            observed = aligned.observed_mask
            for arm in range(aligned.n_arms):
                index = np.flatnonzero(observed[:, arm])
                for part in _parts(len(index)):
                    rows = index[part]
                    self._learn_arm(arm, aligned.contexts[rows], aligned.rewards[rows, arm], None)

    def _learn_arm(self, arm: int, contexts: Float32, rewards: Float64, weights: Float64 | None) -> None:
        arrays = self.learned.per_arm
        ridge = self._sums
        arrays["row_weight"][arm] += len(contexts) if weights is None else weights.sum()
        if ridge.takes_rows(arm, len(contexts)):
            weighted = rewards if weights is None else rewards * weights
            arrays["squared_rewards"][arm] += weighted.dot(rewards)
            rows = self._rows(contexts)
            if self._signal is None:
                ridge.add(arm, rows, rewards, weights)
                return
            for index in range(len(rows)):
                weight = 1.0 if weights is None else float(weights[index])
                self._signal.expect(arm, rows[index], weight)
                ridge.add_row(arm, rows[index], float(rewards[index]), weight)
            return
        joined = self._joined(contexts, rewards[:, None])
        if weights is not None:
            joined *= np.sqrt(weights)[:, None]
        sums = gram(joined)  # of rows and rewards: precision, moment and squared rewards in one product
        arrays["squared_rewards"][arm] += sums[-1, -1]
        ridge.add_sums(arm, sums[:-1, :-1], sums[-1, :-1])
        if self._signal is not None:
            self._signal.forget(arm)

    def _learn_all_arms(self, contexts: Float32, rewards: Float64) -> None:
        """Learn rows on which every arm was observed: one product serves all arms."""
        arrays, n_arms = self.learned.per_arm, rewards.shape[1]
        sums = gram(self._joined(contexts, rewards))
        arrays["row_weight"] += len(contexts)
        arrays["squared_rewards"] += np.diagonal(sums)[-n_arms:]
        for arm in range(n_arms):
            self._sums.add_sums(arm, sums[:-n_arms, :-n_arms], sums[arm - n_arms, :-n_arms])
            if self._signal is not None:
                self._signal.forget(arm)

    def predict(self, contexts: ArrayLike) -> tuple[Float64, Float64]:
        """Return each arm's predicted mean reward and its leverage x' P^-1 x, both (n, k) float64.

        The leverage is the variance of the predicted mean in units of the noise variance.
        """
        rows, _ = self.check(contexts, None)
        return self.ridge.mean_and_leverage(self._rows(rows))

    def predict_rewards(self, contexts: ArrayLike) -> Float64:
        """Return each arm's predicted mean reward, (n, k) float64."""
        rows, _ = self.check(contexts, None)
        coefficients = self.ridge.coefficients.T
        return np.concatenate([self._rows(rows[part]) @ coefficients for part in _parts(len(rows))])

    def scores(self, contexts: Float32) -> tuple[Float64, Float64]:
        """Return what `predict` does, by the fastest way; `contexts` must have passed `check`."""
        if len(contexts) == 1:
            return self.ridge.score(self._rows(contexts)[0])
        if len(contexts) < _FAST_ROWS:
            return self.ridge.mean_and_leverage(self._rows(contexts))
        means = np.empty((len(contexts), len(self.arm_names)))
        leverages = np.empty(means.shape)
        coefficients = self.ridge.coefficients.T
        for part in _parts(len(contexts)):
            rows = self._rows(contexts[part])
            np.matmul(rows, coefficients, out=means[part])
            leverages[part] = self.ridge.fast_leverages(rows.astype(np.float32))
        return means, leverages

    def _rows(self, contexts: Float32) -> Float64:
        """Return contexts as float64, with a last column of ones for the intercept."""
        if self.intercept_precision is None:
            return contexts.astype(np.float64)
        rows = np.empty((contexts.shape[0], contexts.shape[1] + 1))
        rows[:, :-1] = contexts
        rows[:, -1] = 1.0
        return rows

    def _joined(self, contexts: Float32, rewards: Float64) -> Float64:
        """Return `_rows(contexts)` with the rewards (n, m) as further columns."""
        n_features = contexts.shape[1]
        rows = np.empty((len(contexts), n_features + (self.intercept_precision is not None) + rewards.shape[1]))
        rows[:, :n_features] = contexts
        rows[:, n_features:] = 1.0
        rows[:, -rewards.shape[1] :] = rewards
        return rows


def _parts(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_rows))


def _rows_by_arm(actions: Int64) -> Iterator[tuple[int, Int64 | slice]]:
    """Yield each arm that was taken with its rows, at most a chunk at a time."""
    if len(actions) == 1:
        yield int(actions[0]), slice(None)
        return
    order = np.argsort(actions, kind="stable")
    ends = np.cumsum(np.bincount(actions))
    for arm, end in enumerate(ends.tolist()):
        start = int(ends[arm - 1]) if arm else 0
        for part in _parts(end - start):
            yield arm, order[start + part.start : start + part.stop]
