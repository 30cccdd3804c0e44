"""How far the target follows the draft in one round."""

import math
from dataclasses import dataclass

from arms import Observation
from rewards.reward import Reward


@dataclass(frozen=True)
class AcceptanceLength(Reward):
    """New tokens a draft-verify round, `next_token` counted: `arms.acceptance_length`.

    At least 1: a round without a draft, or with every draft token refused, still yields the target's token.
    It ignores what drafting costs, so rank arms of different draft lengths by a speed instead.
    """

    bounds = (1.0, math.inf)

    def _value(self, observation: Observation) -> float:
        """Give the observation's `acceptance_length`.

        Raises:
            ValueError: if there was no draft-verify round.
        """
        length = observation.acceptance_length
        if length is None:
            raise self.unfit(observation, "proposed and accepted are missing: there is no draft-verify round")
        return length
