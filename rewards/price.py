"""What a pull costs in money."""

import math
from dataclasses import dataclass

from arms import Observation
from arms.checks import not_negative
from rewards.reward import Reward


@dataclass(frozen=True)
class Price(Reward):
    """-(cost + per_hour * seconds / 3600): 0 for a free answer, else below, in the unit of the observation's `cost`.

    Args:
        per_hour: what an hour of the machine costs, in that unit, finite and >= 0. Where it is above 0, an observation
            without a `cost` of its own costs the machine's time alone.

    Raises:
        ValueError: if `per_hour` is not a finite number >= 0.
    """

    per_hour: float = 0.0

    bounds = (-math.inf, 0.0)

    def __post_init__(self) -> None:
        not_negative(self.per_hour, "per_hour")

    def _value(self, observation: Observation) -> float:
        """Add up the price.

        Raises:
            ValueError: if `cost` is missing, and the machine's time costs nothing.
        """
        if observation.cost is None and self.per_hour == 0:
            raise self.unfit(
                observation, "cost is missing; record it, or price the machine's time, as in price(per_hour=2.5)"
            )
        return 0.0 - (observation.cost or 0.0) - self.per_hour * observation.seconds / 3600  # a free one is no -0.0
