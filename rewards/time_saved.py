"""The share of the target's own time that an arm saves."""

import math
from dataclasses import dataclass

from arms import Observation
from rewards.reward import Reward
from rewards.speedup import Speedup


@dataclass(frozen=True)
class TimeSaved(Reward):
    """1 - 1 / `Speedup`: 0 is no draft's time, 0.5 half of it, below 0 slower.

    Mean time saved, unlike mean speedup, is what total seconds follow where texts are of like length: one text that
    an arm makes ten times faster cannot outweigh many that it slows down.
    """

    bounds = (-math.inf, 1.0)

    def _value(self, observation: Observation) -> float:
        """Compare seconds a token with the reference's.

        Raises:
            ValueError: as `Speedup`, or if the speedup is 0.
        """
        speedup = Speedup()(observation)
        if speedup == 0:
            raise self.unfit(observation, "the speedup must be > 0, got 0")
        return 1.0 - 1.0 / speedup
