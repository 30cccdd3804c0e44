"""How the bounds of a trial have moved: a few hundred points, however long it lasts."""

from __future__ import annotations

from dataclasses import dataclass

from bandits.online import Trial


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What a trial said after so many decisions.

    Attributes:
        n: decisions taken.
        low: of the confidence sequence.
        estimate: mean of what the policy earned more.
        high: of the confidence sequence.
    """

    n: int
    low: float
    estimate: float
    high: float

    @classmethod
    def of(cls, trial: Trial) -> CurvePoint:
        """Return what a trial that has taken a decision says now."""
        low, high = trial.interval
        return cls(trial.n, low, trial.estimate, high)


class TrialCurve:
    """Points of a trial, thinned out as they become many: every decision at first, then every second, fourth, ...

    Args:
        trial: is read after each decision.
        most: points kept, >= 2.
    """

    def __init__(self, trial: Trial, most: int = 240) -> None:
        self.trial = trial
        self._most, self._every = most, 1
        self._points: list[CurvePoint] = []

    def step(self) -> None:
        """Note what the trial says, where it is the turn."""
        n = self.trial.n
        if n == 0 or n % self._every or (self._points and self._points[-1].n == n):
            return
        points = [*self._points, CurvePoint.of(self.trial)]
        if len(points) > self._most:
            self._every *= 2
            points = [point for point in points if point.n % self._every == 0]
        self._points = points  # another thread may read meanwhile

    def points(self) -> list[CurvePoint]:
        """Return the points, the present one last."""
        points = list(self._points)
        if self.trial.n and (not points or points[-1].n < self.trial.n):
            points.append(CurvePoint.of(self.trial))
        return points
