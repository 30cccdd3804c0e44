"""How many of a draft's tokens the target accepts."""

from dataclasses import dataclass

from arms import Observation
from arms.checks import within
from rewards.reward import Reward


@dataclass(frozen=True)
class AcceptanceRate(Reward):
    """Accepted over proposed draft tokens, in [0, 1]: `arms.acceptance_rate`.

    It falls with the draft length, because nothing is accepted after a refused token: compare arms of one draft length
    by it, or take `AcceptanceLength`. It ignores what drafting costs.

    Args:
        missing: value of an observation in which nothing was proposed, in [0, 1]; None rejects it.

    Raises:
        ValueError: if `missing` is outside [0, 1].
    """

    missing: float | None = None

    bounds = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.missing is not None:
            within(self.missing, 0, 1, "missing")

    def _value(self, observation: Observation) -> float:
        """Give the observation's `acceptance_rate`.

        Raises:
            ValueError: if nothing was proposed and no stand-in was given.
        """
        rate = observation.acceptance_rate
        if rate is not None:
            return rate
        if self.missing is None:
            raise self.unfit(
                observation, "nothing was proposed; say what that is worth, as in acceptance_rate(missing=0)"
            )
        return float(self.missing)
