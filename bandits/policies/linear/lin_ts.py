"""Thompson sampling over linear rewards, with exact probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import numpy as np

from bandits.checks import Bool, Float32, Float64, number, positive, scale
from bandits.policies.distributions import greedy
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
    """Draws 15 % of its decisions as Thompson sampling does, and takes the arm of the highest mean in the others.

    Thompson sampling itself, which chooses each arm with the probability that its mean reward is the highest, is
    `LinTS(sampled_share=1)`. The default lost less in the environments of the page Regret, but it was chosen
    there, with the two precisions, by the very runs of the first table; the second has other ones.

    Per arm a normal-inverse-gamma prior: noise variance s2 ~ InvGamma(shape, rate), coefficients given s2 ~
    N(c0, s2 P0^-1), where c0 has nothing but the intercept i that all arms share and q is the intercept's entry of P0.
    After rows with precision P, moment m and coefficients c the posterior has

        shape_n = shape + n / 2,   rate_n = rate + (sum r^2 - c . m - q i (intercept of c - i)) / 2,

    and the mean reward at x is Student-t with 2 shape_n degrees of freedom, location x . c and squared scale
    (rate_n / shape_n) x' P^-1 x. So the scale of the noise is learned, arm by arm, and needs no tuning. Arms
    are independent, so drawing one score an arm and taking the best has the distribution that is computed here by
    quadrature. `probabilities` are that one times `sampled_share`, and the rest on the highest mean (ties share it);
    `choose` draws from that very vector.

    Given what is known, the arm of the highest mean loses the least now, so exploring is left to the drawn share, which
    learns whatever Thompson sampling would, later. Where the prior is right, the Bayesian bound of Thompson sampling's
    regret holds times 1 / sqrt(sampled_share).

    Args:
        noise: of the noise variance, a prior, or its fields, or the standard deviation, if it is known, in
            [1e-150, 1e150]: scores are then normal.
        prior_precision: see `LinearPolicy`. The default expects arms to differ by more than the noise, so that each is
            tried. None learns it, which suits logs that another policy gathered: rows on which an arm was taken because
            it looked best vary less along its coefficients, and make these seem smaller than they are.
        intercept_precision: see `LinearPolicy`.
        sampled_share: share of decisions that are drawn, in (0, 1]; see above. Arms other than that of the highest
            mean have at most this probability, so a log of these decisions says the less of other policies.
        posterior_scale: what the scores' deviations are multiplied by, in [1e-150, 1e150]. Less than 1 exploits more:
            0.2 earned more on held-out rows of every log it was tried on, where nothing is learned from the choices. A
            policy that does learn from them may then hold on to a worse arm for good, with regret that grows linearly.
        arm_names: see `LinearPolicy`.

    Source: Agrawal and Goyal 2013 (arXiv:1209.3352), Algorithm 1, there with a fixed scale v, which its proof takes as
    R sqrt(9 d ln(t / delta)) and which is the noise's learned deviation here; posterior: Murphy 2012, Machine Learning,
    section 7.6.3; `sampled_share`: Jin, Yang, Xiao and Xu 2023, Thompson Sampling with Less Exploration is Fast and
    Optimal (ICML), there of arms without contexts, as epsilon; the bound with contexts is ours, after Russo and Van Roy
    2016 (arXiv:1403.5341); `posterior_scale`: Chapelle and Li 2011, An Empirical Evaluation of Thompson Sampling.
    """

    def __init__(
        self,
        noise: float | NoisePrior | Mapping[str, Any] = _DEFAULT_NOISE_PRIOR,
        *,
        prior_precision: float | Parts | None = 0.15,
        intercept_precision: float | None = 10.0,
        sampled_share: float = 0.15,
        posterior_scale: float = 1.0,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(prior_precision, intercept_precision=intercept_precision, arm_names=arm_names)
        self.noise: float | NoisePrior
        if isinstance(noise, NoisePrior | Mapping):
            self.noise = settings_of(NoisePrior, noise, "noise")
        else:
            self.noise = scale(noise, "noise")
        if not 0 < number(sampled_share, "sampled_share", "in (0, 1]") <= 1:
            raise ValueError(f"sampled_share must be in (0, 1], got {sampled_share!r}")
        self.sampled_share = float(sampled_share)
        self.posterior_scale = scale(posterior_scale, "posterior_scale")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return each arm's probability of having the highest mean reward, mixed with the arm of the highest mean."""
        means, leverages = self._scores(state, contexts)
        variances, scores = state.derive(("noise", self.noise), lambda: self._noise(state))
        # A zero context without an intercept has no variance at all: a tiny one keeps the integral finite.
        scales = np.maximum(self.posterior_scale * np.sqrt(variances) * np.sqrt(leverages), _LEAST_SCALE)
        drawn = best_arm_probabilities(means, scales, scores, available)
        if self.sampled_share == 1.0:
            return drawn
        return self.sampled_share * drawn + (1.0 - self.sampled_share) * greedy(means, available)

    def noise_posterior(self) -> tuple[Float64, Float64]:
        """Return each arm's noise variance (rate_n / shape_n) and degrees of freedom, both (k,) float64.

        Raises:
            ValueError: if the squares of what was learned overflow.
        """
        return self._noise_posterior(self.learned)

    def _noise_posterior(self, state: PolicyState) -> tuple[Float64, Float64]:
        ridge, n_arms = self._ridge(state), len(state.arm_names)
        if not isinstance(self.noise, NoisePrior):
            return np.full(n_arms, self.noise**2), np.full(n_arms, np.inf)
        shapes = self.noise.shape + np.array([sums.row_weight for sums in ridge.sums]) / 2
        with np.errstate(over="ignore", invalid="ignore"):
            coefficients, common = ridge.coefficients, ridge.common_intercept
            explained = np.array([c.dot(sums.moment) for c, sums in zip(coefficients, ridge.sums, strict=True)])
            if common:
                explained += self._centred * common * (coefficients[:, -1] - common)
            squares = np.array([sums.squared_rewards for sums in ridge.sums])
            residual = np.maximum(squares - explained, 0.0)  # rounding may take it just below zero
            variances = (self.noise.rate + residual / 2) / shapes
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
