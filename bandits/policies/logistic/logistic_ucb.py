"""LogisticUCB with disjoint arms."""

from __future__ import annotations

from collections.abc import Sequence

from bandits.checks import Bool, Float32, Float64, not_negative
from bandits.policies.distributions import greedy
from bandits.policies.logistic.logistic_policy import LogisticPolicy
from bandits.policies.state import PolicyState


class LogisticUCB(LogisticPolicy):
    """Chooses the arm whose probability of a reward of 1 could plausibly be highest.

        score(x, a) = x . coefficients_a + ucb_width * sqrt(x' H_a^-1 x)

    with H_a of `Laplace`; the best score is chosen, ties equally. The reward's mean grows with x . coefficients, so
    that bounds of one order the arms as bounds of the other do.

    Args:
        ucb_width: >= 0, how many posterior deviations are added.
        prior_precision: see `LogisticPolicy`.
        intercept_precision: see `LogisticPolicy`.
        arm_names: see `Policy`.

    Source: Li, Lu and Zhou 2017, Provably Optimal Algorithms for Generalized Linear Contextual Bandits
    (arXiv:1703.00048), Algorithm 1, there with sum x x' in place of the Hessian, which Faury et al. 2020, Improved
    Optimistic Algorithms for Logistic Bandits (arXiv:2002.07530), take.
    """

    def __init__(
        self,
        ucb_width: float = 1.0,
        *,
        prior_precision: float = 1.0,
        intercept_precision: float | None = 0.25,
        arm_names: Sequence[str] | None = None,
    ) -> None:
        super().__init__(prior_precision, intercept_precision=intercept_precision, arm_names=arm_names)
        self.ucb_width = not_negative(ucb_width, "ucb_width")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return probability 1 for the best upper bound of each row (shared equally by ties)."""
        means, deviations = self._scores(state, contexts)
        return greedy(means + self.ucb_width * deviations, available)
