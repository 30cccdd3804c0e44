"""Speed as a multiple of the target's without a draft."""

import math
from dataclasses import dataclass

from arms import Observation
from rewards.reward import Reward


@dataclass(frozen=True)
class Speedup(Reward):
    """(reference.seconds / reference.n_tokens) / (seconds / n_tokens): above 1 is faster than no draft.

    Equal numbers of tokens cancel, so two empty generations compare by their times.
    """

    bounds = (0.0, math.inf)

    def _value(self, observation: Observation) -> float:
        """Compare seconds a token with the reference's.

        Raises:
            ValueError: if `reference` is missing, or the tokens or seconds leave the ratio undefined.
        """
        reference = self.reference_of(observation)
        if observation.seconds == 0 or reference.seconds == 0:
            raise self.unfit(
                observation,
                f"seconds must be > 0, got {observation.seconds} and {reference.seconds} for its reference",
            )
        token_ratio = 1.0
        if observation.n_tokens != reference.n_tokens:
            if reference.n_tokens == 0:
                raise self.unfit(observation, f"reference.n_tokens must be >= 1, got 0 for {observation.n_tokens}")
            token_ratio = observation.n_tokens / reference.n_tokens
        speedup = float(token_ratio * (reference.seconds / observation.seconds))
        if not math.isfinite(speedup):
            raise self.unfit(
                observation,
                f"{reference.seconds} over {observation.seconds} seconds must be finite, got {speedup}",
            )
        return speedup
