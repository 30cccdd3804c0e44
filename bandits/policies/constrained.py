"""The weight of the costs that a constraint on the mean cost, or on the mean reward, asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from bandits.checks import Bool, Float32, Float64
from bandits.data.policy_data import PolicyData
from bandits.policies.distributions import greedy
from bandits.policies.policy import Policy
from bandits.policies.priced import OWN, Priced
from bandits.policies.state import PolicyState

_CONTEXTS = 512  # the last ones, on which the weight is solved for
_HALVINGS = 30
_MIX, _KEPT, _N_KEPT = OWN + "mix", OWN + "contexts", OWN + "n_contexts"


class Constrained(Priced, ABC):
    """Chooses by reward minus weight times cost, with the weight that holds a mean over contexts at a bound.

        score_t(x, a) = (1 - t) r(x, a) / R - t c(x, a) / C,   t in [0, 1]: reward alone, ..., cost alone,

    r and c predicted, R and C their spreads over arms. The mean reward and cost of the best arms fall as t grows, in
    steps where a context changes its arm. The step that crosses the bound is found by halving, and its two ends are
    mixed so that the bound is met exactly, by what is predicted on the last 512 contexts learned from. Every update
    finds it anew.

    This is the dual of the linear program over policies, solved on the contexts at hand: t / (1 - t) R / C is the price
    of the constraint.
    """

    @abstractmethod
    def _figure(self, state: PolicyState, rewards: Float64, costs: Float64) -> tuple[Float64, float]:
        """Return what is bounded, of each context and arm (n, k), and the bound that its mean is to fall to.

        Args:
            state: what is known.
            rewards: (n, k) float64, predicted.
            costs: (n, k) float64, predicted.

        Raises:
            ValueError: if no policy meets the bound, where nothing was known before.
        """

    def __init__(self, policy: Policy | None) -> None:
        super().__init__(policy)
        self.exact_updates = False  # the weight depends on the order of the contexts

    def _initial_state(self, arm_names: tuple[str, ...], n_features: int) -> PolicyState:
        """Return the priors, no contexts, and the reward alone."""
        own = {
            _MIX: np.array([0.0, 0.0, 0.0, 1.0, 1.0]),
            _KEPT: np.zeros((_CONTEXTS, n_features), np.float32),
            _N_KEPT: np.zeros(1),
        }
        return super()._initial_state(arm_names, n_features).updated(shared=own)

    def _update(self, state: PolicyState, data: PolicyData) -> PolicyState:
        """Learn rewards and costs, and the weight."""
        new = super()._update(state, data)
        n_kept = int(state.shared[_N_KEPT][0])
        contexts = np.concatenate([state.shared[_KEPT][:n_kept], data.contexts])[-_CONTEXTS:]
        kept = np.zeros_like(state.shared[_KEPT])
        kept[: len(contexts)] = contexts
        mix = self._solved(new, contexts)
        return self._with_own(new, shared={_MIX: mix, _KEPT: kept, _N_KEPT: np.array([float(len(contexts))])})

    def _solved(self, state: PolicyState, contexts: Float32) -> Float64:
        """Return t below and above the bound, the probability of the second, R and C."""
        rewards, costs = self._predicted(state, contexts)
        figure, bound = self._figure(state, rewards, costs)
        spread = (_spread(rewards), _spread(costs))

        def mean(t: float) -> float:
            return float((figure * _chosen(rewards, costs, t, spread, None)).sum(axis=1).mean())

        low, high = 0.0, 1.0
        if mean(low) <= bound:
            return np.array([low, low, 0.0, *spread])
        if mean(high) > bound:
            return np.array([high, high, 0.0, *spread])
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if mean(middle) > bound else (low, middle)
        above, below = mean(low), mean(high)
        return np.array([low, high, (above - bound) / (above - below), *spread])

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the mixture of the two best choices around the bound."""
        rewards, costs = self._predicted(state, contexts)
        low, high, share, *spread = state.shared[_MIX].tolist()
        first = _chosen(rewards, costs, low, (spread[0], spread[1]), available)
        if share == 0.0:
            return first
        return np.asarray(
            (1 - share) * first + share * _chosen(rewards, costs, high, (spread[0], spread[1]), available)
        )


def _chosen(rewards: Float64, costs: Float64, t: float, spread: tuple[float, float], available: Bool | None) -> Float64:
    known = np.isfinite(rewards)
    scores = (1 - t) / spread[0] * np.where(known, rewards, 0.0) - t / spread[1] * costs
    return greedy(np.where(known, scores, -np.inf), available)


def _spread(values: Float64) -> float:
    """Return how far arms differ, on average over contexts; 1 where they do not."""
    known = np.isfinite(values)
    spread = np.where(known, values, -np.inf).max(axis=1) - np.where(known, values, np.inf).min(axis=1)
    found = float(spread[known.any(axis=1)].mean()) if known.any() else 0.0
    return found if found > 0 else 1.0
