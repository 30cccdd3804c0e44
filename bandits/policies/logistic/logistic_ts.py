"""Thompson sampling over logistic regression, with exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, scale
from bandits.policies.linear.best_arm_probability import best_arm_probabilities
from bandits.policies.logistic.logistic_policy import LogisticPolicy
from bandits.policies.state import PolicyState

_LEAST_SCALE = 1e-154  # its square is a float64


class LogisticTS(LogisticPolicy):
    """Chooses each arm with the probability that a reward of 1 is most likely with it, under what has been learned.

    Scores x . coefficients_a are normal with the mean and variance of `Laplace`, independently over arms, and the
    highest score has the highest probability of a reward of 1. The probabilities of being highest are computed by
    quadrature, as in `LinTS`; `choose` draws from that very vector.

    Args:
        posterior_scale: what the scores' deviations are multiplied by, in [1e-150, 1e150]; see `LinTS` before you take
            less than 1.
        prior_precision: see `LogisticPolicy`.
        intercept_precision: see `LogisticPolicy`.
        arm_names: see `Policy`.

    Source: Chapelle and Li 2011, An Empirical Evaluation of Thompson Sampling, Algorithm 3, there row by row and with
    the Hessian's diagonal only.
    """

    def __init__(
        self,
        posterior_scale: float = 1.0,
        *,
        prior_precision: float = 1.0,
        intercept_precision: float | None = 0.25,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(prior_precision, intercept_precision=intercept_precision, arm_names=arm_names)
        self.posterior_scale = scale(posterior_scale, "posterior_scale")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return each arm's probability of having the highest score."""
        means, deviations = self._scores(state, contexts)
        scales = np.maximum(self.posterior_scale * deviations, _LEAST_SCALE)  # a zero context has no variance at all
        return best_arm_probabilities(means, scales, np.full(len(state.arm_names), np.inf), available)
