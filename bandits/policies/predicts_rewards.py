"""A policy that predicts what each arm would bring."""

from __future__ import annotations

from abc import ABC, abstractmethod

from numpy.typing import ArrayLike

from bandits.checks import Bool, Float32, Float64
from bandits.policies.distributions import greedy
from bandits.policies.policy import Policy
from bandits.policies.state import PolicyState


class PredictsRewards(Policy, ABC):
    """Predicts each arm's mean reward, and chooses the best (ties share equally) unless a subclass says otherwise.

    A subclass writes `_initial_state`, `_update` and `_predict_rewards`. `Softmax` explores over any such policy.
    """

    @abstractmethod
    def _predict_rewards(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return each arm's predicted mean reward, (n, k) float64; -inf for an arm of which nothing is known."""

    def predict_rewards(self, contexts: ArrayLike) -> Float64:
        """Return each arm's predicted mean reward, (n, k) float64; -inf for an arm of which nothing is known.

        Args:
            contexts: (n, d) float32.
        """
        return self._predict_rewards(*self._asked(contexts))

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return probability 1 for the best predicted reward (shared equally by ties)."""
        return greedy(self._predict_rewards(state, contexts), available)
