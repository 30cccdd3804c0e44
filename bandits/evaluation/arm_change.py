"""When arms changed: their mean rewards, and that they came or went."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Literal

import numpy as np

from bandits import checks
from bandits.checks import Bool, Float64, Int64
from bandits.data.array_data import Data
from bandits.data.logged_data import LoggedData
from bandits.statistics.cusum import constant_pieces

_DATES = (946_684_800.0, 4_102_444_800.0)  # the years 2000 to 2100, in seconds since 1970
_MOST_TOLD = 5
_ERROR_RATE = 0.001


@dataclass(frozen=True, slots=True)
class ArmChange:
    """One change of one arm.

    Attributes:
        arm: its name.
        kind: "reward" (its mean reward changed), "came" or "went".
        row: of the data, in their own order: the first one of the new state, or the last one that has an arm that went.
        time: of that row.
        before: its mean reward since the change before; None of an arm that came or went.
        after: its mean reward until the next change; None of an arm that came or went.
    """

    arm: str
    kind: Literal["reward", "came", "went"]
    row: int
    time: float
    before: float | None = None
    after: float | None = None

    def __str__(self) -> str:
        where = f"row {self.row:,} ({moment(self.time)})"
        if self.kind == "reward":
            return f"the mean reward of arm {self.arm!r} changed near {where}: {self.before:.3g} to {self.after:.3g}"
        return f"arm {self.arm!r} is in the data {'from' if self.kind == 'came' else 'up to'} {where}"


def arm_changes(data: Data, *, error_rate: float = _ERROR_RATE) -> tuple[ArmChange, ...]:
    """Say where the mean reward of an arm changed, and which arms came late or went early, in order of time.

    Each arm's known rewards are cut by `constant_pieces` at error_rate / k; on a log each counts 1 / propensity times,
    so that a logging policy that changed its mind changes no mean. Where nothing changed and rows are independent,
    some change of a mean is told in a share `error_rate` of data sets at most, in the limit of many rows; in more where
    neighbouring rows resemble each other. With another mix of contexts means change too. A gradual change is told as
    several.

    An arm is taken for one that came (or went) if all rows that have it lie after (before) the others, and rows that
    have it at random would lie so with a probability below error_rate / (2 k). A row has an arm where it is observed;
    in a log, where it was available and had a probability, or, where the log tells neither, where it was taken.

    Args:
        data: of either kind, with `times`, in any order.
        error_rate: in (0, 1).

    Raises:
        ValueError: if the data hold no times.
    """
    checks.share(error_rate, "error_rate")
    if data.times is None:
        raise ValueError("arm_changes needs times: give the data times, one a row (a column time of a table)")
    order = np.argsort(data.times, kind="stable")
    found: list[tuple[int, ArmChange]] = []
    for arm, name in enumerate(data.arm_names):
        places, rewards, weights = _shown(data, arm, order)
        pieces = constant_pieces(rewards, weights, error_rate=error_rate / data.n_arms)
        for before, after in pairwise(pieces):
            at = int(places[after.start])
            row = int(order[at])
            found.append((at, ArmChange(name, "reward", row, float(data.times[row]), before.mean, after.mean)))
        for kind, at in _span(_present(data, arm)[order], error_rate / (2 * data.n_arms)):
            row = int(order[at])
            found.append((at, ArmChange(name, kind, row, float(data.times[row]))))
    return tuple(change for _, change in sorted(found, key=lambda pair: pair[0]))


def notes_on_changes(data: Data) -> tuple[str, ...]:
    """Return sentences on the arms' changes, for a reader of values that leave time out; none without times."""
    changes = () if data.times is None else arm_changes(data)
    if not changes:
        return ()
    told = [str(change) for change in changes[:_MOST_TOLD]]
    if len(changes) > _MOST_TOLD:
        told.append(f"there are {len(changes) - _MOST_TOLD} more changes")
    return (
        *told,
        "arms changed while the data were gathered, so these values are of a mixture, and a policy trained before a "
        "change has learned what no longer holds: evaluate_rolling (--rolling) follows policies through time",
    )


def is_date(time: float) -> bool:
    """Return whether a time is taken for seconds since 1970: one in the years 2000 to 2100."""
    return _DATES[0] <= time < _DATES[1]


def moment(time: float) -> str:
    """Return a time as date and time of day (UTC), or as the number that it is; see `is_date`."""
    if is_date(time):
        return datetime.fromtimestamp(time, UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00")
    return f"time {time:.6g}"


def _shown(data: Data, arm: int, order: Int64) -> tuple[Int64, Float64, Float64 | None]:
    """Return the places in time that may show an arm's reward, these rewards, and their weights; None for all alike."""
    if not isinstance(data, LoggedData):
        places = np.arange(len(data)) if data.observed is None else np.flatnonzero(data.observed[order, arm])
        return places, data.rewards[order[places], arm], None
    places = np.arange(len(data)) if data.available is None else np.flatnonzero(data.available[order, arm])
    rows = order[places]
    taken = data.actions[rows] == arm
    weights = np.where(taken, 1.0 if data.weights is None else data.weights[rows], 0.0)
    return places, np.where(taken, data.rewards[rows], 0.0), weights / data.propensities[rows]


def _present(data: Data, arm: int) -> Bool:
    """Return (n,) bool, the rows that have an arm."""
    if not isinstance(data, LoggedData):
        return np.ones(len(data), np.bool_) if data.observed is None else data.observed[:, arm]
    possible = np.ones(len(data), np.bool_) if data.available is None else data.available[:, arm]
    if data.action_probabilities is not None:
        possible = possible & (data.action_probabilities[:, arm] > 0)
    return np.asarray(data.actions == arm) if possible.all() else possible


def _span(present: Bool, error_rate: float) -> Iterator[tuple[Literal["came", "went"], int]]:
    """Yield where an arm came and went, of a mask in order of time."""
    places, n = np.flatnonzero(present), len(present)
    if len(places) == 0:
        return
    first, last = int(places[0]), int(places[-1])
    kinds: tuple[tuple[Literal["came", "went"], int, int], ...] = (("came", first, first), ("went", last, n - 1 - last))
    for kind, at, n_without in kinds:
        if len(places) * np.log1p(-n_without / n) < np.log(error_rate):
            yield kind, at
