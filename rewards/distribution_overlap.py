"""How much of a draft's distribution is the target's."""

from dataclasses import dataclass

from arms import Observation
from rewards.with_stand_in import WithStandIn


@dataclass(frozen=True)
class DistributionOverlap(WithStandIn):
    """Mean over the text's tokens of 1 - TV(target, draft) = sum_x min(p(x), q(x)), in [0, 1].

    What rejection sampling accepts of one draft token on average, and so the acceptance rate to expect of sampled texts
    at draft length 1. It ignores what drafting costs.
    Source: Leviathan et al. 2023 (arXiv:2211.17192), theorem 3.5, there beta for each prefix.

    Args:
        missing: value of an observation without overlaps, in [0, 1]; None rejects it.

    Raises:
        ValueError: if `missing` is outside [0, 1].
    """

    bounds = (0.0, 1.0)

    def _value(self, observation: Observation) -> float:
        """Average the observation's `overlaps`.

        Raises:
            ValueError: if there are none and no stand-in was given.
        """
        if not observation.overlaps:
            return self.stand_in(
                observation,
                "overlaps (of the draft's distribution with the target's) are missing; collect them, or say what they "
                "are worth, as in distribution_overlap(missing=0)",
            )
        return min(1.0, sum(observation.overlaps) / len(observation.overlaps))
