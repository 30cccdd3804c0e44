"""Exp3: exponential weights over the arms for rewards that an adversary may choose, of which one a row is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.checks import Bool, Float32, Float64, positive
from bandits.data.policy_data import PolicyData
from bandits.policies.additive_policy import AdditivePolicy
from bandits.policies.softmax import softmax
from bandits.policies.state import Arrays, PolicyState, check_not_negative


class Exp3(AdditivePolicy):
    """Chooses an arm the less often, exponentially, the more it lost, whatever the context and whatever comes.

        p(a) proportional to exp(-rate L(a)),   rate = learning_rate * sqrt(ln k / (n k)),
        L(a) = sum over the rows on which a was taken of (1 - reward) / propensity,

    n the number of rewards seen; L(a) is an unbiased estimate of what arm a would have lost on all rows. Nothing is
    assumed about where rewards come from: with `learning_rate` 1 and rewards fixed beforehand, the expected sum over n
    decisions of its own is below the best arm's by at most 2 sqrt(n k ln k). Where rewards do not change, `UCB1` and
    `BetaTS` lose less; where they do, so do `Discounted(UCB1())` and its like as a rule, but without a promise.

    Rewards lie in [0, 1]. Rows must say with which propensity their arm was taken. On full information, for which
    `Hedge` is made, every observed loss counts as it is. An arm that is added later has lost nothing yet, and is
    chosen most of the time until it has.

    Args:
        learning_rate: > 0, what the rate is multiplied by.
        arm_names: see `Policy`.

    Source: Auer, Cesa-Bianchi, Freund and Schapire 2002, The Nonstochastic Multiarmed Bandit Problem; in losses,
    without their uniform exploration and with a rate that falls: Bubeck and Cesa-Bianchi 2012, Regret Analysis of
    Stochastic and Nonstochastic Multi-armed Bandit Problems (arXiv:1204.5721), section 3.1 and Theorem 3.1.
    """

    counted_in = "counts"
    reward_kind = "share"

    def __init__(self, learning_rate: float = 1.0, *, arm_names: Sequence[str] | None = None) -> None:
        super().__init__(arm_names)
        self.learning_rate = positive(learning_rate, "learning_rate")

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return zero sums."""
        k = len(arm_names)
        return PolicyState(arm_names, n_features, {"losses": np.zeros(k), "counts": np.zeros(k)})

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Add the rows' losses, each divided by its propensity.

        Raises:
            ValueError: if rows show one arm each, and do not say with which propensity.
        """
        feedback = data.feedback()
        factors = np.ones(len(feedback.rewards)) if feedback.weights is None else feedback.weights
        counts = np.bincount(feedback.actions, factors, feedback.n_arms)
        if feedback.propensities is not None:
            factors = factors / feedback.propensities
        elif len(feedback.rewards) == feedback.n_rows and feedback.n_arms > 1:
            raise ValueError("Exp3 learns from rows that show one arm each by their propensities: pass propensities=")
        losses = np.bincount(feedback.actions, factors * (1.0 - feedback.rewards), feedback.n_arms)
        old = state.per_arm
        return state.updated({"losses": old["losses"] + losses, "counts": old["counts"] + counts})

    def check_arrays(self, arrays: Arrays) -> None:
        """Reject negative sums."""
        check_not_negative(arrays, "per_arm.losses", "per_arm.counts")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the weights, the same for each row."""
        losses = state.per_arm["losses"]
        n_decisions = max(float(state.per_arm["counts"].sum()), 1.0)
        rate = self.learning_rate * np.sqrt(np.log(len(losses)) / (n_decisions * len(losses)))
        return softmax(np.broadcast_to(-rate * losses, (len(contexts), len(losses))), available)
