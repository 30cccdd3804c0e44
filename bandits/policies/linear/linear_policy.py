"""What the linear policies share: one Bayesian ridge regression of the reward on the context for each arm."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float32, Float64, at_least, positive
from bandits.data.feedback import Block
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.linear.arm_sums import gram
from bandits.policies.linear.ridge import Ridge
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative

_CHUNK = 1024  # rows turned to float64 at once: 3 MB at 384 features, which stay in the cache
Parts = Sequence[tuple[int, float]]
"""A prior precision for each part of the contexts, in order: (number of features, precision)."""
_FAST_ROWS = 32  # from here on leverages are computed by float32 products


class LinearPolicy(AdditivePolicy, PredictsRewards):
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
            (see `learned_precision`); without an intercept, whose sums that takes, None means 1. Contexts of
            several parts, such as a text and a segment, may have one each: pairs (number of features, precision),
            as `choose_part_precisions` returns them.
        intercept_precision: precision of an arm's intercept about the one that all arms share, which is taken from
            the data (see `Ridge.common_intercept`): the unit and the offset of rewards do not matter, and an arm with
            few rows is thought to be like the others. The smaller, the more its mean is its own; offsets that differ
            from arm to arm as much as coefficients do cost more with the default than with 1. None leaves the intercept
            out.
        arm_names: see `Policy`.
    """

    counted_in = "row_weight"
    shrinks_parts: ClassVar[bool] = True
    """Whether parts of the contexts may have prior precisions of their own."""

    def __init__(
        self,
        prior_precision: float | Parts | None = 1.0,
        *,
        intercept_precision: float | None = 1.0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.prior_precision = _checked(prior_precision)
        self.intercept_precision = (
            None if intercept_precision is None else positive(intercept_precision, "intercept_precision")
        )

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return each arm's prior: no rows, zero moment, diagonal precision (0 where it is learned)."""
        n_arms, size = len(arm_names), n_features + (self.intercept_precision is not None)
        precision = np.zeros((n_arms, size, size))  # first, so that an impossible size is rejected at once
        precision[:, np.arange(size), np.arange(size)] = self._prior_diagonal(n_features)
        per_arm = {
            "precision": precision,
            "moment": np.zeros((n_arms, size)),
            "row_weight": np.zeros(n_arms),
            "squared_rewards": np.zeros(n_arms),
        }
        return PolicyState(arm_names, n_features, per_arm)

    def _prior_diagonal(self, n_features: int) -> Float64:
        """Return the prior precision of each coefficient, the intercept's last, (D,) float64."""
        intercept = [] if self.intercept_precision is None else [self.intercept_precision]
        if isinstance(self.prior_precision, tuple):
            widths, values = zip(*self.prior_precision, strict=True)
            return np.array([*np.resize(np.repeat(values, widths), n_features), *intercept])  # checked in `_update`
        fixed = 0.0 if self._learns_precision else self.prior_precision or 1.0
        return np.array([fixed] * n_features + intercept)

    @property
    def _learns_precision(self) -> bool:
        return self.prior_precision is None and self.intercept_precision is not None

    @property
    def _centred(self) -> float:
        """Return the precision of the intercepts about their common one; 0 where each has a prior mean of 0."""
        return self.intercept_precision or 0.0

    @property
    def _key(self) -> Hashable:
        """Return what a state keeps the posteriors under."""
        return "ridge", self._learns_precision, self._centred

    @property
    def ridge(self) -> Ridge:
        """Return the posteriors of what has been learned so far."""
        return self._ridge(self.learned)

    def _ridge(self, state: PolicyState) -> Ridge:
        learns, centred = self._learns_precision, self._centred
        # An update leaves its posteriors; arrays from elsewhere have none yet.
        return state.derive(self._key, lambda: Ridge.of(state.per_arm, learns_precision=learns, centred=centred))

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn from further rows; see the class for what each kind of data teaches."""
        self._check_parts(state.n_features)
        ridge, feedback = self._ridge(state), data.feedback()
        single = feedback.single()
        if single is not None and ridge.takes_rows(single[0], 1):
            arm, reward, weight = single
            ridge = ridge.with_row(arm, self._rows(data.contexts)[0], reward, weight)
        else:
            for block in feedback.blocks(_CHUNK):
                ridge = self._with_block(ridge, data.contexts[block.rows], block)
        derived: dict[Hashable, object] = {self._key: ridge}
        return PolicyState(state.arm_names, state.n_features, ridge.arrays(), state.shared, derived=derived)

    def _with_block(self, ridge: Ridge, contexts: Float32, block: Block) -> Ridge:
        n_arms, weights = len(block.arms), block.weights
        if all(ridge.takes_rows(arm, len(contexts)) for arm in block.arms):
            rows = self._rows(contexts)
            for column, arm in enumerate(block.arms):
                ridge = ridge.with_rows(arm, rows, block.rewards[:, column], weights)
            return ridge
        joined = self._joined(contexts, block.rewards)
        if weights is not None:
            joined *= np.sqrt(weights)[:, None]
        sums = gram(joined)  # of rows and rewards: precision, moments and squared rewards of all arms in one product
        total = float(len(contexts) if weights is None else weights.sum())
        return ridge.with_sums(
            block.arms, sums[:-n_arms, :-n_arms], sums[-n_arms:, :-n_arms], total, np.diagonal(sums)[-n_arms:]
        )

    def _check_parts(self, n_features: int) -> None:
        if isinstance(self.prior_precision, tuple):
            n_in_parts = sum(width for width, _ in self.prior_precision)
            if n_in_parts != n_features:
                raise ValueError(
                    f"prior_precision has parts of {n_in_parts} features in all, the contexts have {n_features}"
                )

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative weights and squares."""
        check_not_negative(arrays, "per_arm.row_weight", "per_arm.squared_rewards")

    def check_state(self) -> None:
        """Reject precisions that are not positive definite."""
        _ = self.ridge.coefficients

    def predict(self, contexts: ArrayLike) -> tuple[Float64, Float64]:
        """Return each arm's predicted mean reward and its leverage x' P^-1 x, both (n, k) float64.

        The leverage is the variance of the predicted mean in units of the noise variance.
        """
        state, rows = self._asked(contexts)
        return self._ridge(state).mean_and_leverage(self._rows(rows))

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's predicted mean reward."""
        coefficients = self._ridge(state).coefficients.T
        return np.concatenate([self._rows(contexts[part]) @ coefficients for part in _parts(len(contexts))])

    def _scores(self, state: PolicyState, contexts: Float32) -> tuple[Float64, Float64]:
        """Return what `predict` does, by the fastest way."""
        ridge = self._ridge(state)
        if len(contexts) == 1:
            return ridge.score(self._rows(contexts)[0])
        if len(contexts) < _FAST_ROWS:
            return ridge.mean_and_leverage(self._rows(contexts))
        means = np.empty((len(contexts), len(state.arm_names)))
        leverages = np.empty(means.shape)
        coefficients = ridge.coefficients.T
        for part in _parts(len(contexts)):
            rows = self._rows(contexts[part])
            np.matmul(rows, coefficients, out=means[part])
            leverages[part] = ridge.fast_leverages(rows.astype(np.float32))
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


def _checked(precision: float | Parts | None) -> float | Parts | None:
    if precision is None or not isinstance(precision, Sequence) or isinstance(precision, str | bytes):
        return None if precision is None else positive(precision, "prior_precision")
    if not precision or not all(isinstance(part, Sequence) and len(part) == 2 for part in precision):
        raise ValueError(f"prior_precision must hold pairs (number of features, precision), got {precision!r}")
    return tuple(
        (at_least(width, 1, "features of a part"), positive(value, "prior_precision")) for width, value in precision
    )


def _parts(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_rows))
