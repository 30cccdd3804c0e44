"""The seconds that an arm saves over no draft."""

import math
from dataclasses import dataclass

from arms import Observation
from rewards.reward import Reward


@dataclass(frozen=True)
class TimeSaved(Reward):
    """reference.seconds * (n_tokens / reference.n_tokens) - seconds: above 0 is faster than no draft.

    In seconds of a query, so that the sum over queries is the time saved in all: whoever earns most is fastest by
    total tokens over total seconds. A mean of ratios is not: one text that an arm makes ten times faster can outweigh
    many that it slows down. Equal numbers of tokens cancel, so two empty generations compare by their times.
    """

    bounds = (-math.inf, math.inf)

    def _value(self, observation: Observation) -> float:
        """Compare seconds with what the reference would have needed for as many tokens.

        Raises:
            ValueError: if `reference` is missing, or has no token where the observation has some.
        """
        reference = self.reference_of(observation)
        without = reference.seconds
        if observation.n_tokens != reference.n_tokens:
            if reference.n_tokens == 0:
                raise self.unfit(observation, f"reference.n_tokens must be >= 1, got 0 for {observation.n_tokens}")
            without *= observation.n_tokens / reference.n_tokens
        return without - observation.seconds
