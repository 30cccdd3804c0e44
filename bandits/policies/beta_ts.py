"""Thompson sampling over each arm's mean reward, whatever the context, with exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import special

from bandits.checks import Bool, Float32, Float64, within
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import Arrays, PolicyState, check_not_negative

_TAILS = np.array([1e-13, 1e-10, 1e-7, 1e-5, 1e-3, 0.02, 0.1, 0.3])  # panels end at these quantiles and their mirrors
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_MOST_PANELS = 256


class BetaTS(AdditivePolicy, PredictsRewards):
    """Chooses each arm with the probability that its mean reward is the highest, whatever the context.

    Rewards are 0 or 1 with a mean of their own for each arm, a priori Beta(prior_successes, prior_failures). After rows
    of an arm with sum of rewards s and number n the mean is

        Beta(prior_successes + s, prior_failures + n - s),

    independently of the other arms'. The probability that it is the highest, integral of f_a(z) prod over b != a of
    F_b(z) dz, is computed by a composite Gauss rule between all arms' quantiles; `choose` draws from that very vector.

    A reward between 0 and 1 counts as that part of a success, by which the posterior is wider than it needs to be.
    Made for its own decisions, as `UCB1` is: on the log of a policy that looks at the context, means tell how each arm
    did on the queries it was given.

    Args:
        prior_successes: in [0.5, 10^6]; 1 and 1 make every mean in [0, 1] equally likely.
        prior_failures: in [0.5, 10^6].
        arm_names: see `Policy`.

    Source: Thompson 1933, On the Likelihood that One Unknown Probability Exceeds Another; Chapelle and Li 2011, An
    Empirical Evaluation of Thompson Sampling, Algorithm 2. The quadrature, and parts of successes where Agrawal and
    Goyal 2012 (arXiv:1111.1797), Algorithm 2, draw whole ones, are ours.
    """

    counted_in = "counts"
    reward_kind = "share"

    def __init__(
        self, prior_successes: float = 1.0, *, prior_failures: float = 1.0, arm_names: Sequence[str] | None = None
    ) -> None:
        super().__init__(arm_names)
        self.prior_successes = within(prior_successes, 0.5, 1e6, "prior_successes")
        self.prior_failures = within(prior_failures, 0.5, 1e6, "prior_failures")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"rewards": np.zeros(k), "counts": np.zeros(k)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Add the rows' rewards and counts to their arms' sums."""
        rewards, counts = data.feedback().arm_sums()
        old = state.per_arm
        return state.updated({"rewards": old["rewards"] + rewards, "counts": old["counts"] + counts})

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative sums."""
        check_not_negative(arrays, "per_arm.rewards", "per_arm.counts")

    def posterior(self) -> tuple[Float64, Float64]:
        """Return the two parameters of each arm's Beta distribution, both (k,) float64."""
        return self._posterior(self.learned)

    def _posterior(self, state: PolicyState) -> tuple[Float64, Float64]:
        rewards, counts = state.per_arm["rewards"], state.per_arm["counts"]
        failures = np.maximum(counts - rewards, 0.0)  # rounding may take it just below zero
        return self.prior_successes + rewards, self.prior_failures + failures

    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return the posterior means for each row."""
        successes, failures = self._posterior(state)
        return np.broadcast_to(successes / (successes + failures), (len(contexts), len(successes)))

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return each arm's probability of having the highest mean, the same for each row with the same arms."""
        successes, failures = self._posterior(state)
        key = ("best", self.prior_successes, self.prior_failures)
        if available is None:
            best = state.derive(key, lambda: best_beta_probabilities(successes, failures))
            return np.broadcast_to(best, (len(contexts), len(best))).copy()
        masks, place = np.unique(available, axis=0, return_inverse=True)
        result = np.zeros(masks.shape)
        for row, mask in zip(result, masks, strict=True):
            row[mask] = best_beta_probabilities(successes[mask], failures[mask])
        return result[place.reshape(-1)]


def best_beta_probabilities(successes: Float64, failures: Float64) -> Float64:
    """Return the probability that each of several independent Beta variables is the highest.

    Args:
        successes: (k,) float64, first parameters.
        failures: (k,) float64, second parameters.

    Returns:
        (k,) float64, sums to 1; within about 1e-8 of exact where all parameters are 1 or more, 1e-5 where one is 1/2.
    """
    (a, b), place, counts = np.unique(
        np.stack([successes, failures]), axis=1, return_inverse=True, return_counts=True
    )  # arms with equal posteriors are computed once
    quantiles = np.concatenate(
        [special.betaincinv(a, b, _TAILS[:, None]), special.betainccinv(a, b, _TAILS[::-1, None])]
    )
    low, high = quantiles[0].max(), quantiles[-1].max()
    rivals = quantiles[-1] > low  # the others are highest with a probability below 1e-12
    if len(a) == 1 or not low < high or rivals.sum() < 1:
        best = (a / (a + b) == (a / (a + b)).max()).astype(np.float64)
        return np.asarray((best / best.dot(counts))[place.reshape(-1)])
    a, b = a[rivals, None], b[rivals, None]
    ends = np.unique(np.clip(quantiles[:, rivals], low, high))
    if len(ends) > _MOST_PANELS:
        ends = ends[np.linspace(0, len(ends) - 1, _MOST_PANELS).round().astype(np.int64)]
    halves = np.diff(ends)[:, None] / 2
    nodes = (ends[:-1, None] + halves * (1.0 + _NODES)).reshape(-1)
    weights = (halves * _WEIGHTS).reshape(-1)
    logs = np.log(special.betainc(a, b, nodes))
    densities = special.xlogy(a - 1.0, nodes) + special.xlog1py(b - 1.0, -nodes) - special.betaln(a, b)
    best = np.zeros(len(counts))
    best[rivals] = np.exp(densities - logs + counts[rivals] @ logs) @ weights
    return np.asarray((best / best.dot(counts))[place.reshape(-1)])
