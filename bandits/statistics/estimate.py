"""A value with its interval: the one record of it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval; a row of a result is one with more fields.

    Formatting applies to all three numbers: `f"{estimate:.2f}"` gives "1.05 [1.02, 1.08]".

    Attributes:
        value: the figure.
        low: lower bound of its interval; what made it (and its confidence) is said where it was made.
        high: upper bound of the same interval.
    """

    value: float
    low: float
    high: float

    @property
    def interval(self) -> tuple[float, float]:
        """Return (low, high)."""
        return self.low, self.high

    def within(self, least: float, most: float) -> Estimate:
        """Return the value with the part of its interval that lies in [least, most], as no share is below 0."""
        return Estimate(self.value, min(max(self.low, least), most), max(min(self.high, most), least))

    def __format__(self, spec: str) -> str:
        spec = spec or ".3f"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def __str__(self) -> str:
        return format(self)
