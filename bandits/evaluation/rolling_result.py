"""The result of `evaluate_rolling`: what policies earn while they learn, over all and window by window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bandits.evaluation.arm_change import ArmChange, moment
from bandits.evaluation.conclusion import Conclusion
from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingRow(Estimate):
    """What one candidate earns on the rows after the first part.

    Attributes:
        name: of the policy; the same and ", frozen" for its copy that learns no more after the first part; or "best
            fixed arm", the arm that was best on the first part.
        kind: "policy", "frozen" or "fixed".
        value: mean reward a row.
        low: lower bound of its interval.
        high: upper bound of its interval.
        difference: value minus the best fixed arm's, on the same rows; None for that arm itself.
        over_frozen: value minus the frozen copy's, what learning on is worth; None but for policies.
        regret: mean over rows of what the best arm of the row's window brings, minus value. It was picked among all on
            the rows that it is scored on, which makes regret too large: little where rewards are known, much on a log
            of many arms.
        n_learned: rows that the policy was shown in all, mean over seeds; None but for policies.
        by_seed: the value of each seed.
        problems: why the log cannot support the value, in the first seed; none where it can.
    """

    name: str
    kind: Literal["policy", "frozen", "fixed"]
    difference: Estimate | None
    over_frozen: Estimate | None
    regret: Estimate
    n_learned: float | None
    by_seed: tuple[float, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingPoint(Estimate):
    """What one candidate earns in one window.

    Attributes:
        name: of its row.
        window: number of the window, from 1.
        value: mean reward a row.
        low: lower bound of its interval.
        high: upper bound of its interval.
        regret: what the best arm of the window brings, minus value; see `RollingRow`.
        difference_so_far: mean reward a row minus that of the best fixed arm, from the end of the first part to the end
            of this window; None for that arm, and within the first part.
        over_frozen_so_far: the same against the frozen copy; None but for policies after the first part.
    """

    name: str
    window: int
    regret: Estimate
    difference_so_far: Estimate | None
    over_frozen_so_far: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingWindow:
    """Neighbouring rows in order of time.

    Attributes:
        n_rows: how many.
        start: time of the first one, in seconds.
        stop: time of the last one.
        best_arm: the arm that is best on them, whatever the context.
        best_value: what it brings, a row.
    """

    n_rows: int
    start: float
    stop: float
    best_arm: str
    best_value: float


@dataclass(frozen=True, slots=True, repr=False)
class RollingEvaluation(Results[RollingRow]):
    """Policies that learned as the data came, beside the best fixed arm and their own frozen copies.

    Attributes:
        rows: policies in the order given, their frozen copies, then the best fixed arm.
        points: each row's in each window; frozen copies have none in the first part.
        windows: in order of time.
        n_first: windows of the first part.
        changes: of the arms; see `arm_changes`.
        conclusion: the best policy against the best fixed arm.
        learned_from: what policies were shown.
        valued_by: how values were made.
        update_every: rows between two updates.
        seeds: one run each.
        n_rows: rows in all.
        confidence: of the intervals.
        notes: what the reader must know.
    """

    kind: ClassVar[str] = "rolling evaluation"

    rows: tuple[RollingRow, ...]
    points: tuple[RollingPoint, ...]
    windows: tuple[RollingWindow, ...]
    n_first: int
    changes: tuple[ArmChange, ...]
    conclusion: Conclusion
    learned_from: str
    valued_by: str
    update_every: int
    seeds: tuple[int, ...]
    n_rows: int
    confidence: float
    notes: tuple[str, ...] = ()

    @property
    def on_learning(self) -> str:
        """What going on to learn is worth to the policy of the conclusion, in one sentence."""
        name = self.conclusion.policy
        gain = self[name].over_frozen
        assert gain is not None
        more, shown, advice = "more", gain, "no difference can be told"
        if gain.value < 0:
            more, shown = "less", Estimate(-gain.value, -gain.high, -gain.low)
        if self[name].problems or self[frozen_name(name)].problems:
            advice = "the log cannot support this"
        elif gain.low > 0:
            advice = "let it go on learning"
        elif gain.high < 0:
            advice = "freeze it after the first part"
        return f"Learning on, {name} earns {shown:.3g} {more} a row than frozen after the first part: {advice}."

    def table(self) -> Table:
        """Return one line a row, with the arms' changes and the conclusion below."""
        kinds = [row.kind for row in self.rows]
        lines = [
            (row.name, str(row), _cell(row.difference), _cell(row.over_frozen), str(row.regret), _count(row.n_learned))
            for row in self.rows
        ]
        seeds = f"{len(self.seeds)} seed" + ("s" if len(self.seeds) > 1 else "")
        every = "each row" if self.update_every == 1 else f"every {self.update_every} rows"
        tested = sum(window.n_rows for window in self.windows[self.n_first :])
        return Table(
            title=f"the last {tested} of {self.n_rows} rows in order of time, {seeds}, {self.confidence:.0%} intervals",
            headings=("name", "value", "minus best fixed arm", "minus frozen", "regret", "rows learned"),
            lines=tuple(lines),
            sections=frozenset(index for index in range(1, len(kinds)) if kinds[index] != kinds[index - 1]),
            remarks=(
                f"policies learned from {self.learned_from}, after {every}",
                self.valued_by,
                *map(str, self.changes),
                *self.notes,
                self.on_learning,
                str(self.conclusion),
            ),
        )

    def window_table(self) -> Table:
        """Return one line a window and candidate; see `RollingPoint`."""
        points = sorted(self.points, key=lambda point: point.window)
        lines = []
        for point in points:
            window = self.windows[point.window - 1]
            so_far = (_cell(point.difference_so_far), _cell(point.over_frozen_so_far))
            best = f"{window.best_arm} {window.best_value:.3f}"
            lines.append((str(point.window), moment(window.start), best, point.name, str(point), *so_far))
        return Table(
            title=f"{len(self.windows)} windows, the first {self.n_first} of them the first part",
            headings=(
                "window",
                "from",
                "best arm",
                "name",
                "value",
                "minus best fixed arm so far",
                "minus frozen so far",
            ),
            lines=tuple(lines),
            sections=frozenset(i for i in range(1, len(points)) if points[i].window != points[i - 1].window),
            left=frozenset({"from", "best arm", "name"}),
        )


def frozen_name(name: str) -> str:
    """Return what the copy of a policy is called that learns no more."""
    return f"{name}, frozen"


def _cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else str(estimate)


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}"
