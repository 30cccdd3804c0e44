"""The class to subclass for a new way of valuing a pull, and the sums that rewards form.

The two stand together because each is made of the other: a reward's operators build sums, and a sum is a reward.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from numbers import Real
from typing import Self

from arms import Observation, Reference, checks


class Reward(ABC):
    """The value of one observation: larger is better.

    A subclass writes `_value` and sets `bounds`, in the class or in its `__init__`; the class's name is its `name`
    unless it sets another. The base handles pulls that failed and values that are no numbers. Sums, differences,
    multiples and fractions come with it: `0.5 * RougeL() - RelativeSpeed(60.0) / 2`.
    `rewards.testing.check_reward` tests that it keeps the rules below.

    Attributes:
        bounds: lowest and highest value possible, two floats; infinite where there is no limit.
    """

    bounds: tuple[float, float]

    # Makes numpy scalars leave `np.float64(0.5) * reward` to `__rmul__`.
    __array_ufunc__ = None

    @cached_property
    def name(self) -> str:
        """Names the reward in tables."""
        return type(self).__name__

    @abstractmethod
    def _value(self, observation: Observation) -> float:
        """Value an observation whose pull did not fail.

        Returns:
            A finite number within `bounds`, the same for the same observation.

        Raises:
            ValueError: naming arm, query and what is missing, if the observation lacks what is needed
                (`raise self.unfit(observation, reason)`).
        """

    def __call__(self, observation: Observation) -> float:
        """Value `observation`.

        Raises:
            ValueError: naming arm and query, if the observation lacks what is needed, its pull failed and nothing
                says what that is worth, or the value is no finite number.
        """
        value = self._value(observation) if observation.failure is None else self._value_of_failure(observation)
        if not (isinstance(value, Real) and math.isfinite(value)):
            raise self.unfit(observation, f"the value must be a finite number, got {value!r}")
        return float(value)

    def _value_of_failure(self, observation: Observation) -> float:
        """Value a pull that failed: an error, unless a subclass such as `OnFailure` knows better."""
        raise self.unfit(
            observation,
            f"the pull failed ({observation.failure}); say what a failure is worth with OnFailure({self.name}, VALUE), "
            "or leave failed pulls out",
        )

    def prepare(self, observations: Sequence[Observation]) -> None:  # noqa: B027 (most rewards share nothing)
        """Compute at once what valuing these observations shares, such as embeddings; values do without it too."""

    def unfit(self, observation: Observation, reason: str) -> ValueError:
        """Make the error to raise for an observation that cannot be valued."""
        return ValueError(f"{self.name} cannot value the {observation}: {reason}")

    def reference_of(self, observation: Observation) -> Reference:
        """Return the target's own generation.

        Raises:
            ValueError: naming arm and query, if the observation has none.
        """
        if observation.reference is None:
            raise self.unfit(observation, "reference (the target's text and its no-draft seconds) is missing")
        return observation.reference

    def __add__(self, other: "Reward") -> "WeightedSum":
        if not isinstance(other, Reward):
            return NotImplemented
        return WeightedSum([(1.0, self), (1.0, other)])

    def __sub__(self, other: "Reward") -> "WeightedSum":
        if not isinstance(other, Reward):
            return NotImplemented
        return WeightedSum([(1.0, self), (-1.0, other)])

    def __neg__(self) -> "WeightedSum":
        return WeightedSum([(-1.0, self)])

    def __mul__(self, weight: float) -> "WeightedSum":
        if not isinstance(weight, Real):
            return NotImplemented
        return WeightedSum([(weight, self)])

    __rmul__ = __mul__

    def __truediv__(self, divisor: float) -> "WeightedSum":
        if not isinstance(divisor, Real):
            return NotImplemented
        if divisor == 0:
            raise ValueError(f"a reward's divisor must not be 0, got {self.name} / {divisor!r}")
        return WeightedSum([(1.0 / divisor, self)])


class FittedReward(Reward):
    """A reward with a setting that is learned from training observations."""

    @classmethod
    @abstractmethod
    def fitted(cls, observations: Iterable[Observation]) -> Self:
        """Build the reward from every arm's observations of the training queries, never of the held-out ones."""


class WeightedSum(Reward):
    """sum_i weight_i * reward_i(observation); what `+`, `-`, `*` and `/` on rewards build.

    A failed pull is worth the sum of what its terms say, so each term must say it, or the whole sum be wrapped in
    `OnFailure`.

    Args:
        terms: (weight, reward) pairs; sums among them are flattened.

    Raises:
        ValueError: if there is no term or a weight is not a finite number.
        TypeError: if a term is not a `Reward`, or lacks bounds.
    """

    def __init__(self, terms: Sequence[tuple[float, Reward]]) -> None:
        if not terms:
            raise ValueError("terms must hold at least one (weight, reward) pair, got none")
        flat: list[tuple[float, Reward]] = []
        for weight, reward in terms:
            checks.number(weight, "a reward's weight")
            if not isinstance(reward, Reward):
                raise TypeError(f"a WeightedSum adds instances of Reward, got {reward!r}")
            inner = reward.terms if isinstance(reward, WeightedSum) else ((1.0, reward),)
            flat += [(float(weight) * inner_weight, term) for inner_weight, term in inner]
        self.terms: tuple[tuple[float, Reward], ...] = tuple(flat)
        self.name = _formula(self.terms)
        self.bounds = _bounds(self.terms)

    def prepare(self, observations: Sequence[Observation]) -> None:
        """Prepare each term."""
        for _, reward in self.terms:
            reward.prepare(observations)

    def _value(self, observation: Observation) -> float:
        total = 0.0
        for weight, reward in self.terms:
            total += weight * reward(observation)
        return total

    def _value_of_failure(self, observation: Observation) -> float:
        return self._value(observation)

    def __repr__(self) -> str:
        return f"WeightedSum({list(self.terms)})"


def bounds_of(reward: Reward) -> tuple[float, float]:
    """Return a reward's bounds.

    Raises:
        TypeError: if its class sets none.
    """
    bounds: tuple[float, float] | None = getattr(reward, "bounds", None)
    if bounds is None:
        raise TypeError(
            f"{type(reward).__name__} must set bounds = (lowest, highest), two floats, in the class or in __init__"
        )
    return bounds


def _bounds(terms: Sequence[tuple[float, Reward]]) -> tuple[float, float]:
    """Add each term's bounds times its weight; a negative weight swaps its term's bounds."""
    low = high = 0.0
    # Added in the order of the values: rounding is monotone, so no value leaves the bounds by an ulp.
    for weight, reward in terms:
        ends = [weight * bound if weight else 0.0 for bound in bounds_of(reward)]  # 0 times infinity is no number
        low, high = low + min(ends), high + max(ends)
    return low, high


def _formula(terms: Sequence[tuple[float, Reward]]) -> str:
    """Write a sum, for example `0.5 * RougeL - RelativeSpeed`."""
    text = ""
    for weight, reward in terms:
        size = "" if abs(weight) == 1.0 else f"{abs(weight):g} * "
        sign = (" - " if weight < 0 else " + ") if text else ("-" if weight < 0 else "")
        text += f"{sign}{size}{reward.name}"
    return text
