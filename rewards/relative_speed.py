"""Speed as a share of the fastest seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from arms import Observation, checks
from rewards.reward import FittedReward


@dataclass(frozen=True)
class RelativeSpeed(FittedReward):
    """min(1, tokens_per_second / fastest): in (0, 1], and 0 for an empty generation.

    Args:
        fastest: Tokens a second that count as 1, finite and > 0; usually from `fitted`.

    Raises:
        ValueError: if `fastest` is not a finite number > 0.
    """

    fastest: float

    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        checks.positive(self.fastest, "fastest")

    @classmethod
    def fitted(cls, observations: Iterable[Observation]) -> Self:
        """Take as `fastest` the speed of the fastest single observation.

        Args:
            observations: Every arm's observations of the training queries, never of the held-out ones; those of
                failed pulls do not count.

        Raises:
            ValueError: if there is none, one has no time, or none generated a token.
        """
        answered = (observation for observation in observations if observation.failure is None)
        fastest = max((observation.tokens_per_second for observation in answered), default=None)
        if fastest is None:
            raise ValueError(
                "RelativeSpeed.fitted needs at least one observation of a pull that did not fail, got none"
            )
        return cls(fastest)

    def _value(self, observation: Observation) -> float:
        """Compare the observation's speed with the fastest.

        Raises:
            ValueError: if its `seconds` is 0.
        """
        if observation.seconds == 0:
            raise self.unfit(observation, "seconds must be > 0 to give a speed, got 0")
        return float(min(1.0, observation.tokens_per_second / self.fastest))
