"""How much time other arms may lose against a safe one, and which of them may still run."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass

from bandits import checks

_RECENT, _LEAST = 64, 4  # pulls of the safe arm that its pace is told from, at most and at least
_DEVIATIONS = 2.0


class SafePace:
    """The least seconds a unit that a safe arm takes by its recent pulls: their ratio less two standard errors.

    Too small a pace takes too much for lost, which errs on the safe side.
    """

    def __init__(self) -> None:
        self._pulls: deque[tuple[float, float]] = deque()
        self._seconds = self._units = 0.0  # sums over the pulls
        self._seconds_2 = self._units_2 = self._product = 0.0

    def take(self, seconds: float, units: float) -> None:
        """Take one pull, and let the oldest go where they are too many."""
        self._pulls.append((seconds, units))
        self._add(1.0, seconds, units)
        if len(self._pulls) > _RECENT:
            self._add(-1.0, *self._pulls.popleft())

    @property
    def least(self) -> float | None:
        """The pace, >= 0; None before four pulls."""
        n = len(self._pulls)
        if n < _LEAST:
            return None
        ratio = self._seconds / self._units
        squares = self._seconds_2 - 2.0 * ratio * self._product + ratio * ratio * self._units_2  # of s - ratio * u
        error = math.sqrt(max(0.0, squares) / (n - 1) * n) / self._units  # of a ratio of sums
        return max(0.0, ratio - _DEVIATIONS * error)

    def _add(self, sign: float, seconds: float, units: float) -> None:
        self._seconds += sign * seconds
        self._units += sign * units
        self._seconds_2 += sign * seconds * seconds
        self._units_2 += sign * units * units
        self._product += sign * seconds * units


@dataclass(frozen=True, slots=True)
class _Stake:
    """A pull under way: its arm, the most that it may lose by what is known, and whether nothing is."""

    arm: Hashable
    loss_s: float
    is_first: bool


class TimeBudget:
    """Lets other arms than a safe one run only while what they lost, and what is at stake, stays within a budget.

        lost = sum over their pulls of (seconds - pace * units),   allowed = budget_s + share * pace * (units of all)
        an arm may run while  lost + stakes of the pulls under way + its own stake <= allowed

    An arm's stake is the largest loss of one of its pulls so far; an arm that never ran may run in one pull at a time,
    with none other such under way. So lost never exceeds what is allowed by more than one pull, whatever the arms do
    and whoever chooses among them; where several run at once, by more than what they exceed their stakes together. What
    an arm saves makes room for what is lost later.

    What the safe arm would have taken for another one's units is never observed. Its pace is known beforehand, or told
    from its own pulls (see `SafePace`), for each group of pulls by themselves: until it has run four times in a group,
    nothing else may. Several threads may call this at once.

    Args:
        budget_s: seconds that may be lost, >= 0.
        share: of the safe arm's time for all that was made, in [0, 1], by which the budget grows; with 0 a budget that
            is spent stays spent.
        pace_s: seconds a unit of the safe arm, where they are known; None to tell them from its pulls.

    Attributes:
        lost_s: seconds lost so far; negative where time was saved.
        most_lost_s: the most that was ever lost beyond what `share` allows.
        safe_s: what the safe arm would have taken at least, for all that was made.
        n_withheld: how often an arm was not let run.

    Source: Wu, Shariff, Lattimore and Szepesvari 2016, Conservative Bandits (arXiv:1602.04282), section 3, whose budget
    is a share of the safe arm's reward and whose losses are bounded in expectation; here they are counted.
    """

    def __init__(self, budget_s: float, *, share: float = 0.0, pace_s: float | None = None) -> None:
        self.budget_s = checks.not_negative(budget_s, "budget_s")
        self.share = checks.within(share, 0.0, 1.0, "share")
        self.pace_s = None if pace_s is None else checks.positive(pace_s, "pace_s")
        self.lost_s = self.most_lost_s = self.safe_s = 0.0
        self.n_withheld = 0
        self._paces: dict[Hashable, SafePace] = {}
        self._stakes: dict[Hashable, _Stake] = {}
        self._worst: dict[Hashable, float] = {}
        self._lock = threading.Lock()

    @property
    def allowed_s(self) -> float:
        """Seconds that may be lost by now."""
        return self.budget_s + self.share * self.safe_s

    def pace(self, group: Hashable = None) -> float | None:
        """Return the safe arm's seconds a unit, at least; None where they are not known yet."""
        if self.pace_s is not None:
            return self.pace_s
        with self._lock:
            return self._paces[group].least if group in self._paces else None

    def allows(self, arm: Hashable, group: Hashable = None) -> bool:
        """Return whether an arm other than the safe one may run now."""
        if self.pace(group) is None:
            return False
        with self._lock:
            return self._fits(arm)

    def begin(self, pull: Hashable, arm: Hashable, group: Hashable = None) -> bool:
        """Stake a pull of an arm, if it is allowed, and return whether it is; `end` is to follow.

        Args:
            pull: tells it from the others under way.
            arm: other than the safe one.
            group: of the pull.
        """
        allowed = self.pace(group) is not None
        with self._lock:
            allowed = allowed and self._fits(arm)
            if allowed:
                worst = self._worst.get(arm)
                self._stakes[pull] = _Stake(arm, max(0.0, worst or 0.0), worst is None)
            else:
                self.n_withheld += 1
        return allowed

    def end(
        self, pull: Hashable, seconds: float, units: float, group: Hashable = None, arm: Hashable | None = None
    ) -> None:
        """Count what a pull took and made; nothing where the safe arm's pace is not known yet.

        Args:
            pull: as it was begun; or one that was not, because others have slowed it down.
            seconds: of the pull, >= 0.
            units: what it made, such as tokens, >= 0; 0 where it failed.
            group: of the pull.
            arm: whose pull it was, where it was begun elsewhere, such as in an earlier process.
        """
        seconds, units = checks.not_negative(seconds, "seconds"), checks.not_negative(units, "units")
        pace = self.pace(group)
        with self._lock:
            stake = self._stakes.pop(pull, None)
            if pace is None:
                return
            loss, whose = seconds - pace * units, arm if stake is None else stake.arm
            if whose is not None:
                self._worst[whose] = max(self._worst.get(whose, -math.inf), loss)
            self.lost_s += loss
            self.safe_s += pace * units
            self.most_lost_s = max(self.most_lost_s, self.lost_s - self.share * self.safe_s)

    def drop(self, pull: Hashable) -> None:
        """Forget a pull that was begun and did not run."""
        with self._lock:
            self._stakes.pop(pull, None)

    def ran_safe(self, seconds: float, units: float, group: Hashable = None) -> None:
        """Take a pull of the safe arm, which loses nothing.

        Args:
            seconds: of the pull, >= 0.
            units: what it made; nothing is told from a pull that made none.
            group: of the pull.
        """
        seconds, units = checks.not_negative(seconds, "seconds"), checks.not_negative(units, "units")
        with self._lock:
            if units > 0:
                self._paces.setdefault(group, SafePace()).take(seconds, units)
        pace = self.pace(group) or 0.0
        with self._lock:
            self.safe_s += pace * units

    def __str__(self) -> str:
        """Say what was lost or saved, of what is allowed."""
        told = f"{self.lost_s:.3g} s lost" if self.lost_s > 0 else f"{-self.lost_s:.3g} s saved"
        return f"{told} against the safe arm, {self.allowed_s:.3g} s may be lost; withheld {self.n_withheld} times"

    def _fits(self, arm: Hashable) -> bool:
        stakes = self._stakes.values()
        worst = self._worst.get(arm)
        if worst is None and any(stake.is_first for stake in stakes):
            return False
        at_stake = sum(stake.loss_s for stake in stakes) + max(0.0, worst or 0.0)
        return self.lost_s + at_stake <= self.allowed_s
