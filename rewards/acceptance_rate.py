"""How many of a draft's tokens the target accepts."""

from dataclasses import dataclass

from arms import Observation
from rewards.with_stand_in import WithStandIn


@dataclass(frozen=True)
class AcceptanceRate(WithStandIn):
    """Accepted over proposed draft tokens, in [0, 1]: `arms.acceptance_rate`.

    It falls with the draft length, because nothing is accepted after a refused token: compare arms of one draft length
    by it, or take `AcceptanceLength`. It ignores what drafting costs.

    Args:
        missing: value of an observation in which nothing was proposed, in [0, 1]; None rejects it.

    Raises:
        ValueError: if `missing` is outside [0, 1].
    """

    bounds = (0.0, 1.0)

    def _value(self, observation: Observation) -> float:
        """Give the observation's `acceptance_rate`.

        Raises:
            ValueError: if nothing was proposed and no stand-in was given.
        """
        rate = observation.acceptance_rate
        if rate is None:
            reason = "nothing was proposed; say what that is worth, as in acceptance_rate(missing=0)"
            return self.stand_in(observation, reason)
        return rate
