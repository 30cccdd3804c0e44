"""Seconds for each token, as a share of the slowest that is told apart."""

from dataclasses import dataclass

from arms import Observation, checks
from rewards.reward import Reward


@dataclass(frozen=True)
class SecondsPerToken(Reward):
    """-min(1, seconds / (n_tokens * slowest)): in [-1, 0], and -1 for an answer without tokens or a failed pull.

    It needs no reference, so it can value answers as they are served; `TimeSaved` sums to the total time, and is to be
    preferred where a reference is known.

    Args:
        slowest: seconds a token that count as -1, and so does all that is slower; finite and > 0.

    Raises:
        ValueError: if `slowest` is not a finite number > 0.
    """

    slowest: float

    bounds = (-1.0, 0.0)

    def __post_init__(self) -> None:
        checks.positive(self.slowest, "slowest")

    def _value(self, observation: Observation) -> float:
        """Divide the seconds by the tokens and the slowest."""
        if observation.n_tokens == 0:
            return -1.0
        return -min(1.0, float(observation.seconds / (observation.n_tokens * self.slowest)))

    def _value_of_failure(self, observation: Observation) -> float:
        """Take a failure for the slowest answer."""
        return -1.0
