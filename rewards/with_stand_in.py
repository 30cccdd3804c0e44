"""What rewards share that can do without what they value."""

from dataclasses import dataclass

from arms import Observation
from arms.checks import within
from rewards.reward import Reward


@dataclass(frozen=True)
class WithStandIn(Reward):
    """A reward that knows what an observation is worth that lacks what it values.

    Args:
        missing: that value, >= 0 and within `bounds`; None rejects such an observation.

    Raises:
        ValueError: if `missing` is below 0 or outside `bounds`.
    """

    missing: float | None = None

    def __post_init__(self) -> None:
        if self.missing is not None:
            low, high = self.bounds
            within(self.missing, max(0.0, low), high, "missing")

    def stand_in(self, observation: Observation, reason: str) -> float:
        """Return `missing`.

        Raises:
            ValueError: saying why the observation cannot be valued, if it is None.
        """
        if self.missing is None:
            raise self.unfit(observation, reason)
        return float(self.missing)
