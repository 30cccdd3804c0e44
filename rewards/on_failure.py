"""What a failed pull is worth."""

from collections.abc import Sequence

from arms import Observation, checks
from rewards.reward import Reward, bounds_of


class OnFailure(Reward):
    """`reward`, and `value` for a pull that failed.

    Args:
        reward: values the pulls that did not fail.
        value: what a failure is worth, finite: for example the worst that `reward` can give.

    Raises:
        ValueError: if `value` is not a finite number.
        TypeError: if `reward` is not a `Reward`, or lacks bounds.
    """

    def __init__(self, reward: Reward, value: float) -> None:
        if not isinstance(reward, Reward):
            raise TypeError(f"OnFailure wraps an instance of Reward, got {reward!r}")
        self.reward, self.value = reward, checks.number(value, "value")
        low, high = bounds_of(reward)
        self.bounds = min(low, self.value), max(high, self.value)
        self.name = f"OnFailure({reward.name}, {self.value:g})"

    def prepare(self, observations: Sequence[Observation]) -> None:
        """Prepare what values the pulls that did not fail."""
        self.reward.prepare(observations)

    def _value(self, observation: Observation) -> float:
        return self.reward(observation)

    def _value_of_failure(self, observation: Observation) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"OnFailure({self.reward!r}, {self.value!r})"
