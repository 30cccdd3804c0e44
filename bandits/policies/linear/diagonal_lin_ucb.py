"""LinUCB for thousands of features: each arm's precision is kept as a diagonal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, not_negative, scale
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.distributions import greedy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative

_CHUNK = 256  # rows turned to float64 at once


class DiagonalLinUCB(AdditivePolicy, PredictsRewards):
    """Chooses as `LinUCB` does, but knows each feature by itself: memory and a choice cost k d in place of k d^2.

    With mean the mean reward of all rows, and sums over the rows x of an arm, a 1 added to each,

        p_j = prior_precision + sum w x_j^2,   c_j = sum w (r - mean) x_j / p_j,
        score(x, a) = mean + x . c + ucb_width * sqrt(sum over j of x_j^2 / p_j).

    That is ridge regression for features that do not go together; of those that do, each is credited with all that
    they explain, and the others' share is not taken off. For thousands of hashed words, of which a text has few, that
    lost less than a ridge regression over as much memory, on the logs of LLM calls that it was tried on; with few
    features take `LinUCB`. All is a sum over rows: updates are exact, shards merge, and `Discounted` lets them age.

    Args:
        ucb_width: see `LinUCB`.
        prior_precision: of each coefficient, relative to the noise, in [1e-150, 1e150]; see `LinearPolicy`.
        arm_names: see `Policy`.

    Source: Chapelle and Li 2011, An Empirical Evaluation of Thompson Sampling, Algorithm 3, whose diagonal precision is
    this one for squared errors; the mean taken from the rewards is ours.
    """

    def __init__(
        self, ucb_width: float = 1.0, *, prior_precision: float = 1.0, arm_names: Sequence[str] | None = None
    ) -> None:
        super().__init__(arm_names)
        self.ucb_width = not_negative(ucb_width, "ucb_width")
        self.prior_precision = scale(prior_precision, "prior_precision")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums: of squares, of contexts and of contexts times rewards, the added 1 last."""
        shape = (len(arm_names), n_features + 1)
        return PolicyState(arm_names, n_features, {name: np.zeros(shape) for name in ("squares", "contexts", "moment")})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Add the rows to their arms' sums."""
        new = {name: array.copy() for name, array in state.per_arm.items()}
        for block in data.feedback().blocks(_CHUNK):
            rows = _with_ones(data.contexts[block.rows])
            weights = np.ones(len(rows)) if block.weights is None else block.weights
            arms = list(block.arms)
            new["squares"][arms] += weights @ (rows * rows)
            new["contexts"][arms] += weights @ rows
            new["moment"][arms] += (weights[:, None] * block.rewards).T @ rows
        return state.updated(new)

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative squares."""
        check_not_negative(arrays, "per_arm.squares")

    def _solved(self, state: PolicyState) -> tuple[float, Float64, Float64]:
        """Return the mean reward, coefficients (k, d + 1) and variances (k, d + 1)."""
        sums = state.per_arm
        n_rows = float(sums["contexts"][:, -1].sum())
        mean = float(sums["moment"][:, -1].sum()) / n_rows if n_rows > 0 else 0.0
        variances = 1.0 / (self.prior_precision + sums["squares"])
        return mean, (sums["moment"] - mean * sums["contexts"]) * variances, variances

    def _scores(self, state: PolicyState, contexts: Float32, width: float) -> Float64:
        mean, coefficients, variances = state.derive(("solved", self.prior_precision), lambda: self._solved(state))
        scores = np.empty((len(contexts), len(state.arm_names)))
        for part in _parts(len(contexts)):
            rows = _with_ones(contexts[part])
            scores[part] = mean + rows @ coefficients.T
            if width:
                scores[part] += width * np.sqrt((rows * rows) @ variances.T)
        return scores

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's predicted mean reward."""
        return self._scores(state, contexts, 0.0)

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return probability 1 for the best upper bound of each row (shared equally by ties)."""
        return greedy(self._scores(state, contexts, self.ucb_width), available)


def _with_ones(contexts: Float32) -> Float64:
    rows = np.ones((contexts.shape[0], contexts.shape[1] + 1))
    rows[:, :-1] = contexts
    return rows


def _parts(n_rows: int) -> Iterator[slice]:
    for start in range(0, n_rows, _CHUNK):
        yield slice(start, min(start + _CHUNK, n_rows))
