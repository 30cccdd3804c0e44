"""Speed as it is measured."""

import math
from dataclasses import dataclass

from arms import Observation
from rewards.reward import Reward


@dataclass(frozen=True)
class TokensPerSecond(Reward):
    """n_tokens / seconds, >= 0: needs no reference and no other observation.

    Its mean weighs a short answer as much as a long one; what saves most time in all is told by `TimeSaved`.
    """

    bounds = (0.0, math.inf)

    def _value(self, observation: Observation) -> float:
        """Give the observation's `tokens_per_second`.

        Raises:
            ValueError: if its `seconds` is 0.
        """
        if observation.seconds == 0:
            raise self.unfit(observation, "seconds must be > 0 to give a speed, got 0")
        return observation.tokens_per_second
