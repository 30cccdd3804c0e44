"""The class to subclass for a new way of valuing a pull, and the sums that rewards form."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from numbers import Real

from arms import Observation, Reference


class Reward(ABC):
    """The value of one observation: larger is better.

    A subclass writes `bounds` (a class attribute or a property) and `__call__`, nothing else; sums and
    multiples come with it: `0.5 * RougeL() + 0.5 * RelativeSpeed(60.0)`. `rewards.testing.rewards.check_reward`
    tests that it keeps the rules below.
    """

    # Makes numpy scalars leave `np.float64(0.5) * reward` to `__rmul__`.
    __array_ufunc__ = None

    @property
    @abstractmethod
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest value possible; infinite where there is no limit."""

    @abstractmethod
    def __call__(self, observation: Observation) -> float:
        """Value `observation`.

        Returns:
            A finite number within `bounds`, the same for the same observation.

        Raises:
            ValueError: naming arm, query and what is missing, if the observation lacks what is needed
                (`raise self.unfit(observation, reason)`).
        """

    @property
    def name(self) -> str:
        """Names the reward in tables."""
        return type(self).__name__

    def unfit(self, observation: Observation, reason: str) -> ValueError:
        """Make the error to raise for an observation that cannot be valued."""
        return ValueError(f"{self.name} cannot value the {observation}: {reason}")

    def reference_of(self, observation: Observation) -> Reference:
        """Give the target's own generation.

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

    def __mul__(self, weight: float) -> "WeightedSum":
        if not isinstance(weight, Real):
            return NotImplemented
        return WeightedSum([(weight, self)])

    __rmul__ = __mul__


class WeightedSum(Reward):
    """sum_i weight_i * reward_i(observation); what `+` and `*` on rewards build.

    `a * RougeL() + (1 - a) * RelativeSpeed(fastest)` is the weighted average of alignment and speed.
    Source: Huang et al. 2024 (arXiv:2408.08470), the reward as reviews of the paper print it, there
    a = alpha; how the paper scales speed is not known to us.

    Args:
        terms: (weight, reward) pairs; sums among them are flattened.

    Raises:
        ValueError: if there is no term or a weight is not a finite number.
        TypeError: if a term is not a `Reward`.
    """

    def __init__(self, terms: Sequence[tuple[float, Reward]]) -> None:
        if not terms:
            raise ValueError("terms must hold at least one (weight, reward) pair, got none")
        flat: list[tuple[float, Reward]] = []
        for weight, reward in terms:
            is_number = isinstance(weight, Real) and not isinstance(weight, bool)
            if not is_number or not math.isfinite(weight):
                raise ValueError(f"a reward's weight must be a finite number, got {weight!r}")
            if not isinstance(reward, Reward):
                raise TypeError(f"a WeightedSum adds instances of Reward, got {reward!r}")
            inner = reward.terms if isinstance(reward, WeightedSum) else ((1.0, reward),)
            flat += [(float(weight) * inner_weight, term) for inner_weight, term in inner]
        self._terms = tuple(flat)

    @property
    def terms(self) -> tuple[tuple[float, Reward], ...]:
        """The (weight, reward) pairs; none of these rewards is a sum."""
        return self._terms

    @property
    def bounds(self) -> tuple[float, float]:
        """Each term's bounds times its weight, added; a negative weight swaps its term's bounds."""
        low = high = 0.0
        # Added in the order of `__call__`: rounding is monotone, so no value leaves the bounds by an ulp.
        for weight, reward in self._terms:
            if weight != 0.0:  # 0 times an infinite bound is no number
                ends = [weight * bound for bound in reward.bounds]
                low, high = low + min(ends), high + max(ends)
        return low, high

    def __call__(self, observation: Observation) -> float:
        """Value every term and add.

        Raises:
            ValueError: if a term cannot be valued or the sum overflows.
        """
        total = 0.0
        for weight, reward in self._terms:
            total += weight * reward(observation)
        if not math.isfinite(total):
            raise self.unfit(observation, f"the sum must be finite, got {total}")
        return total

    @property
    def name(self) -> str:
        """The formula, for example `0.5 * RougeL + 0.5 * RelativeSpeed`."""
        return " + ".join(
            reward.name if weight == 1.0 else f"{weight:g} * {reward.name}" for weight, reward in self._terms
        )

    def __repr__(self) -> str:
        return f"WeightedSum({list(self._terms)})"
