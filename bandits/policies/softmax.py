"""Boltzmann exploration over the rewards that another policy predicts."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Bool, Float64, positive
from bandits.policies.policy import Policy
from bandits.policies.wrapped_policy import WrappedPolicy


@runtime_checkable
class PredictsRewards(Protocol):
    """A policy that predicts each arm's mean reward, as `BestFixedArm`, `KNN` and the linear policies do."""

    def predict_rewards(self, contexts: ArrayLike) -> Float64:
        """Return each arm's predicted mean reward, (n, k) float64; -inf for an arm of which nothing is known."""


class Softmax(WrappedPolicy):
    """Chooses better arms more often, by the rewards that another policy predicts.

    probabilities = exp(predicted reward / temperature), scaled to sum to 1 over the available arms.

    An arm of which the inner policy knows nothing (prediction -inf) is chosen only where that holds for all.

    Args:
        policy: any policy with `predict_rewards`: a linear one, `BestFixedArm`, `UCB1`, `KNN`.
        temperature: > 0, in units of the reward; the smaller, the greedier.

    Source: Sutton and Barto 2018, Reinforcement Learning, eq. 2.11 over predicted rewards.
    """

    def __init__(self, policy: Policy, temperature: float = 0.1) -> None:
        super().__init__(policy)
        if not isinstance(policy, PredictsRewards):
            raise TypeError(f"policy must predict rewards (have predict_rewards), {type(policy).__name__} does not")
        self.temperature = positive(temperature, "temperature")

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return the softmax of the inner policy's predicted rewards."""
        rows, mask = self.check(contexts, available)
        predicted = self.policy.predict_rewards(rows)  # type: ignore[attr-defined]  # checked in the constructor
        return softmax(predicted / self.temperature, mask)


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
    chances: Float64 = np.exp(logits - top)
    chances /= chances.sum(axis=1, keepdims=True)
    return chances
