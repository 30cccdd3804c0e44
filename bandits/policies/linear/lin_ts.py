"""Thompson sampling over linear rewards, with exact probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from bandits.checks import Bool, Float32, Float64, positive, scale
from bandits.policies.linear.best_arm_probability import best_arm_probabilities
from bandits.policies.linear.linear_policy import LinearPolicy, Parts
from bandits.policies.linear.student_t import StudentT
from bandits.policies.parameters import settings_of
from bandits.policies.state import PolicyState

OFFLINE_SCALE = 0.2  # of 0.1 to 1, by held-out rows of logs: a `posterior_scale` where nothing is learned later
_LEAST_SCALE = 1e-154  # its square is a float64


@dataclass(frozen=True, slots=True)
class NoisePrior:
    """Inverse gamma prior of a noise variance; it weighs as 2 * shape rows of variance rate / shape.

    The default weighs as 4 rows of variance 1/2, twice the most that rewards in [0, 1] can have: a prior that expects
    less noise than there is takes an arm's first few rewards for the truth.

    Attributes:
        shape: > 0.
        rate: > 0.
    """

    shape: float = 2.0
    rate: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", positive(self.shape, "shape"))
        object.__setattr__(self, "rate", positive(self.rate, "rate"))


_DEFAULT_NOISE_PRIOR = NoisePrior()


class LinTS(LinearPolicy):
    """Chooses each arm with the probability that its mean reward is the highest, under what has been learned.

    Per arm a normal-inverse-gamma prior: noise variance s2 ~ InvGamma(shape, rate), coefficients given s2 ~
    N(c0, s2 P0^-1), where c0 has nothing but the intercept i that all arms share and q is the intercept's entry of P0.
    After rows with precision P, moment m and coefficients c the posterior has

        shape_n = shape + n / 2,   rate_n = rate + (sum r^2 - c . m - q i (intercept of c - i)) / 2,

    and the mean reward at x is Student-t with 2 shape_n degrees of freedom, location x . c and squared scale
    (rate_n / shape_n) x' P^-1 x. So the scale of the noise is learned, arm by arm, and needs no tuning. Arms
    are independent, so drawing one score an arm and taking the best has the distribution of `probabilities`, which are
    computed by quadrature; `choose` draws from that very vector.

    Scores have their posterior's deviation times `posterior_scale`. The default of 1 is Thompson sampling. A smaller
    one exploits more: 0.2 earned more on held-out rows of every log it was tried on, where nothing is learned from
    the choices. A policy that does learn from them may then hold on to a worse arm for good, with regret that grows
    linearly.

    Args:
        noise_scale: standard deviation of the noise, if it is known, in [1e-150, 1e150]: scores are then normal. None
            learns it.
        posterior_scale: what the scores' deviations are multiplied by, in [1e-150, 1e150]; see above before you take
            less than 1.
        noise_prior: of the noise variance, where it is learned; or its fields.
        prior_precision: see `LinearPolicy`; by default it is learned too.
        intercept_precision: see `LinearPolicy`; 1 to 10 lost alike in the environments that it was chosen by.
        arm_names: see `LinearPolicy`.

    Source: Agrawal and Goyal 2013 (arXiv:1209.3352), Algorithm 1, there with a fixed scale v, which its proof takes as
    R sqrt(9 d ln(t / delta)) and which is the noise's learned deviation here; posterior: Murphy 2012, Machine Learning,
    section 7.6.3; `posterior_scale`: Chapelle and Li 2011, An Empirical Evaluation of Thompson Sampling (posterior
    reshaping).
    """

    def __init__(
        self,
        noise_scale: float | None = None,
        *,
        prior_precision: float | Parts | None = None,
        intercept_precision: float | None = 3.0,
        noise_prior: NoisePrior | Mapping[str, Any] = _DEFAULT_NOISE_PRIOR,
        posterior_scale: float = 1.0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(prior_precision, intercept_precision=intercept_precision, arm_names=arm_names)
        self.noise_scale = None if noise_scale is None else scale(noise_scale, "noise_scale")
        self.noise_prior = settings_of(NoisePrior, noise_prior, "noise_prior")
        self.posterior_scale = scale(posterior_scale, "posterior_scale")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return each arm's probability of having the highest mean reward."""
        means, leverages = self._scores(state, contexts)
        key = ("noise", self.noise_scale, self.noise_prior)
        variances, scores = state.derive(key, lambda: self._noise(state))
        # A zero context without an intercept has no variance at all: a tiny one keeps the integral finite.
        scales = np.maximum(self.posterior_scale * np.sqrt(variances) * np.sqrt(leverages), _LEAST_SCALE)
        return best_arm_probabilities(means, scales, scores, available)

    def noise_posterior(self) -> tuple[Float64, Float64]:
        """Return each arm's noise variance (rate_n / shape_n) and degrees of freedom, both (k,) float64.

        Raises:
            ValueError: if the squares of what was learned overflow.
        """
        return self._noise_posterior(self.learned)

    def _noise_posterior(self, state: PolicyState) -> tuple[Float64, Float64]:
        ridge, n_arms = self._ridge(state), len(state.arm_names)
        if self.noise_scale is not None:
            return np.full(n_arms, self.noise_scale**2), np.full(n_arms, np.inf)
        shapes = self.noise_prior.shape + np.array([sums.row_weight for sums in ridge.sums]) / 2
        with np.errstate(over="ignore", invalid="ignore"):
            coefficients, common = ridge.coefficients, ridge.common_intercept
            explained = np.array([c.dot(sums.moment) for c, sums in zip(coefficients, ridge.sums, strict=True)])
            if common:
                explained += self._centred * common * (coefficients[:, -1] - common)
            squares = np.array([sums.squared_rewards for sums in ridge.sums])
            residual = np.maximum(squares - explained, 0.0)  # rounding may take it just below zero
            variances = (self.noise_prior.rate + residual / 2) / shapes
            if not isfinite(variances.sum() + explained.sum()):
                raise ValueError("LinTS must learn rewards whose squares sum to a finite number: scale the rewards")
        return variances, 2 * shapes

    def check_state(self) -> None:
        """Reject what `LinearPolicy` rejects, and sums whose squares overflow."""
        super().check_state()
        self.noise_posterior()

    def _noise(self, state: PolicyState) -> tuple[Float64, StudentT]:
        """Return each arm's noise variance and the distribution of its score."""
        variances, degrees_of_freedom = self._noise_posterior(state)
        return variances, StudentT.of(degrees_of_freedom)
