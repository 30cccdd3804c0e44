"""What the logistic policies share: one Bayesian logistic regression of the reward on the context for each arm."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import expit

from bandits.checks import Float32, Float64, within
from bandits.policies.kept_rows import ArmKey, KeptRows
from bandits.policies.logistic.laplace import Laplace
from bandits.policies.state import PolicyState


class LogisticPolicy(KeptRows):
    """Learns, for each arm, P(reward = 1) = 1 / (1 + exp(-(intercept + coefficients . context))).

    Rewards must be 0 or 1. All rows are kept, and an arm's regression is fitted anew, exactly, from all its rows at the
    first choice after new ones; so batches in any order give what one fit gives, up to rounding. Meant for batches: an
    update costs a copy of the log, the choice after it a fit of the arms that it taught. Propensities are not needed,
    because the regression is per arm.

    Args:
        prior_precision: in [1e-6, 10^6], precision of each coefficient's normal prior of mean 0. The default of 1 suits
            contexts of about unit length; see `LinearPolicy`.
        intercept_precision: the same for the intercept; 0.25 lets an arm's mean lie between 0.02 and 0.98 without much
            ado. None leaves the intercept out.
        arm_names: see `Policy`.
    """

    exact_updates = True
    reward_kind = "binary"

    def __init__(
        self,
        prior_precision: float = 1.0,
        *,
        intercept_precision: float | None = 0.25,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(arm_names)
        self.prior_precision = within(prior_precision, 1e-6, 1e6, "prior_precision")
        self.intercept_precision = (
            None if intercept_precision is None else within(intercept_precision, 1e-6, 1e6, "intercept_precision")
        )

    def _posterior(self, state: PolicyState, arm: int) -> Laplace:
        key = ArmKey("laplace", arm, (self.prior_precision, self.intercept_precision))
        return state.derive(key, lambda: self._fitted(state, arm))

    def _fitted(self, state: PolicyState, arm: int) -> Laplace:
        own = np.flatnonzero(state.per_arm["weights"][arm] > 0)
        prior = np.full(state.n_features, self.prior_precision)
        if self.intercept_precision is not None:
            prior = np.append(prior, self.intercept_precision)
        rows = self._rows(state.shared["contexts"][own])
        return Laplace.of(rows, state.per_arm["rewards"][arm, own], state.per_arm["weights"][arm, own], prior)

    def _scores(self, state: PolicyState, contexts: Float32) -> tuple[Float64, Float64]:
        """Return mean and deviation of each arm's x . coefficients, both (n, k) float64."""
        rows = self._rows(contexts)
        means = np.empty((len(rows), len(state.arm_names)))
        deviations = np.empty(means.shape)
        for arm in range(len(state.arm_names)):
            posterior = self._posterior(state, arm)
            means[:, arm] = rows @ posterior.coefficients
            spread = rows @ posterior.root
            deviations[:, arm] = np.sqrt(np.einsum("nd,nd->n", spread, spread))
        return means, deviations

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's probability of a reward of 1, at the posterior's mode."""
        return np.asarray(expit(self._scores(state, contexts)[0]))

    def check_state(self) -> None:
        """Reject rows that no regression can be fitted to."""
        for arm in range(len(self.learned.arm_names)):
            self._posterior(self.learned, arm)

    def _rows(self, contexts: Float32) -> Float64:
        """Return contexts as float64, with a last column of ones for the intercept."""
        rows = contexts.astype(np.float64)
        return rows if self.intercept_precision is None else np.column_stack([rows, np.ones(len(rows))])
