"""Boltzmann exploration over the rewards that another policy predicts."""

from __future__ import annotations

import numpy as np

from bandits.checks import Bool, Float32, Float64, scale
from bandits.policies.linear.lin_ucb import LinUCB
from bandits.policies.policy import Policy
from bandits.policies.predicts_rewards import PredictsRewards
from bandits.policies.state import PolicyState
from bandits.policies.wrapped_policy import WrappedPolicy


class Softmax(WrappedPolicy):
    """Chooses better arms more often, by the rewards that another policy predicts.

    probabilities = exp(predicted reward / temperature), scaled to sum to 1 over the available arms.

    An arm of which the inner policy knows nothing (prediction -inf) is chosen only where that holds for all.

    Args:
        policy: one that `PredictsRewards`: a linear one, `BestFixedArm`, `UCB1`, `KNN`, `Regression`; None takes
            `LinUCB(ucb_width=0)`, plain ridge regression.
        temperature: > 0, in units of the reward; the smaller, the greedier.

    Source: Sutton and Barto 2018, Reinforcement Learning, eq. 2.11 over predicted rewards.
    """

    def __init__(self, policy: Policy | None = None, *, temperature: float = 0.1) -> None:
        super().__init__(LinUCB(ucb_width=0.0) if policy is None else policy)
        if not isinstance(self.policy, PredictsRewards):
            raise TypeError(f"policy must predict rewards (be a PredictsRewards), {type(policy).__name__} does not")
        self.policy: PredictsRewards
        self.temperature = scale(temperature, "temperature")

    def _probabilities(self, state: PolicyState, contexts: Float32, available: Bool | None) -> Float64:
        """Return the softmax of the inner policy's predicted rewards."""
        return softmax(self.policy._predict_rewards(state, contexts) / self.temperature, available)


def softmax(logits: Float64, available: Bool | None) -> Float64:
    """Return exp(logits) scaled to sum to 1 over the available arms of each row, (n, k) float64.

    A row whose available arms are all -inf shares equally among them.
    """
    if available is not None:
        logits = np.where(available, logits, -np.inf)
    top = np.maximum.reduce(logits, axis=1)[:, None]
    nothing = np.isneginf(top[:, 0])
    if nothing.any():
        allowed = np.ones(logits.shape, np.bool_) if available is None else available
        logits = np.where(nothing[:, None] & allowed, 0.0, logits)
        top = np.where(nothing[:, None], 0.0, top)
    probabilities: Float64 = np.exp(logits - top)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return probabilities
