"""One choice of an arm, with the probability it was made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from bandits.checks import Float64, Int64


@dataclass(frozen=True, slots=True)
class Decision:
    """One choice of an arm.

    Attributes:
        arm: name of the chosen arm.
        action: index of that arm in the policy's `arm_names`.
        propensity: probability in (0, 1] that the policy gave this arm when it drew it.
        probabilities: arm to probability, in the policy's order: the whole distribution that the arm was drawn from.
        proposed: arm to probability, of a policy on trial while another one decides; None where none is on trial.
    """

    arm: str
    action: int
    propensity: float
    probabilities: Mapping[str, float] = field(hash=False)
    proposed: Mapping[str, float] | None = field(default=None, hash=False)


class ChoosesArms(Protocol):
    """What data need of a policy to be logged with it or to value it; every `Policy` has it."""

    @property
    def arm_names(self) -> tuple[str, ...]:
        """Return the arms in the order of `probabilities`' columns; empty while none are known."""

    def start(self, arm_names: Sequence[str], n_features: int) -> None:
        """Begin with these arms and this context size."""

    def probabilities(self, contexts: ArrayLike, available: ArrayLike | None = None) -> Float64:
        """Return (n, k) float64, rows sum to 1."""


def draw_actions(probabilities: Float64, rng: np.random.Generator) -> Int64:
    """Draw one action a row; an action of probability zero is never drawn.

    Args:
        probabilities: (n, k) float64, rows sum to 1 (within rounding).
        rng: takes exactly one uniform number a row, also where there is nothing to draw.

    Returns:
        (n,) int64.
    """
    cumulative = np.cumsum(np.ascontiguousarray(probabilities.T), axis=0)  # (k, n): long loops inside are fast
    total = cumulative[-1]
    uniform = rng.random(len(probabilities)) * total
    drawn = (cumulative <= uniform).sum(axis=0)
    # Rounding may carry the product up to the total: the last arm that has any probability stands there.
    last = len(cumulative) - (cumulative == total).sum(axis=0)
    actions: Int64 = np.minimum(drawn, last)
    return actions
