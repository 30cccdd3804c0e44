"""Pictures of evaluations, comparisons and simulations. Needs matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bandits.evaluation.canvas import curves, interval_bars
from bandits.evaluation.comparison import Comparison, ComparisonRow, CurvePoint
from bandits.evaluation.cost_picture import CostPoint, draw_front, hull_line
from bandits.evaluation.evaluation import Evaluation
from bandits.evaluation.rolling_picture import draw_rolling
from bandits.evaluation.rolling_result import RollingEvaluation
from bandits.evaluation.trade_off_result import TradeOff
from bandits.simulation.simulation import Simulation
from bandits.statistics.estimate import Estimate

_MARKS = {"policy": "o", "arm": "s", "log": "D", "oracle": "*", "fixed": "s"}
_MOST_SEGMENTS = 20
_REFERENCES = ("fixed", "segment")  # what the arms that they choose among show already


def plot_values(evaluation: Evaluation, path: str | Path, *, reward: str = "reward") -> None:
    """Draw every row's value with its interval, as horizontal bars.

    Args:
        evaluation: of `evaluate`.
        path: file to write; its ending says which format.
        reward: what the values are means of, for the axis.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    bars: dict[str, Estimate | float] = {row.name: row for row in evaluation}
    interval_bars(path, bars, title="held-out queries", x_label=f"mean {reward}")


def plot_pareto(
    comparison: Comparison, path: str | Path, estimator: str | None = None, *, cost_unit: str | None = None
) -> None:
    """Draw cost against quality: policies and arms with their intervals, and the line that none beats.

    The line goes through points that differ: a dearer one is on it only if the cheaper one before it is worse than the
    dearer one's interval.

    Args:
        comparison: of data with costs.
        path: file to write; its ending says which format.
        estimator: whose values; None takes the first.
        cost_unit: what the costs are in, such as "$", for the axis.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the data hold no costs.
    """
    front = _different(comparison.pareto(estimator))
    first = estimator or comparison.rows[0].estimator
    rows = [row for row in comparison if row.kind not in _REFERENCES and row.estimator in (first, "on policy")]
    points = [CostPoint(row.name, row.cost, row, _MARKS[row.kind], row.kind == "policy") for row in rows if row.cost]
    line = [(row.cost.value, row.value) for row in front if row.cost is not None]
    draw_front(path, points, {"": line}, cost_unit)


def plot_trade_off(result: TradeOff, path: str | Path, *, cost_unit: str | None = None) -> None:
    """Draw each policy's points at all weights, joined, over the arms and the hull that mixing arms reaches.

    Args:
        result: of `trade_off`.
        path: file to write; its ending says which format.
        cost_unit: what the costs are in, such as "$", for the axis.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    points = [CostPoint("", arm.cost, arm, _MARKS["arm"], False, legend=arm.name) for arm in result.arms]
    lines: dict[str, list[tuple[float, float]]] = {"": hull_line([(arm.cost.value, arm.value) for arm in result.arms])}
    for name in result.names:
        own = sorted((point for point in result.points if point.name == name), key=lambda point: point.cost.value)
        lines[name] = [(point.cost.value, point.value) for point in own]
        points += [CostPoint("", point.cost, point, "o", True, name) for point in own]
    draw_front(path, points, lines, cost_unit)


def plot_segments(result: Comparison | Evaluation, path: str | Path, name: str | None = None) -> None:
    """Draw, for each of the largest segments, what a policy earns more than the best fixed arm, with its interval.

    Args:
        result: with `segments`.
        path: file to write; its ending says which format.
        name: of the policy, or "best arm by segment"; None takes the best policy.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there is no line of that name.
    """
    if name is None and result.conclusion is not None:
        name = result.conclusion.policy
    bars: dict[str, Estimate | float] = {row.segment: row.difference for row in result.segments if row.name == name}
    if not bars:
        raise ValueError(f"there are no lines by segment of {name!r}")
    title = f"{name} minus the best fixed arm" + (f", {_MOST_SEGMENTS} largest" if len(bars) > _MOST_SEGMENTS else "")
    shown = dict(list(bars.items())[:_MOST_SEGMENTS])
    label = f"mean reward, intervals for {len(result.segments)} lines together (Bonferroni)"
    interval_bars(path, shown, title=title, x_label=label, line=0.0)


def plot_learning_curves(comparison: Comparison, path: str | Path, estimator: str | None = None) -> None:
    """Draw each policy's value over the number of training rows; see `plot_pareto`."""
    first = estimator or comparison.curves[0].estimator
    lines: dict[str, list[CurvePoint]] = {}
    for point in comparison.curves:
        if point.estimator == first:
            lines.setdefault(point.name, []).append(point)
    ordered = {name: sorted(points, key=lambda point: point.n_train) for name, points in lines.items()}
    curves(
        path,
        {name: ([point.n_train for point in points], points) for name, points in ordered.items()},
        title=f"learning curves ({first})",
        x_label="training rows",
        y_label="mean reward",
        x_ticks=sorted({round(point.n_train) for points in ordered.values() for point in points}),
    )


def plot_rolling(result: RollingEvaluation, path: str | Path) -> None:
    """Draw values window by window, with what changed, and below what is earned more than the best fixed arm so far."""
    draw_rolling(result, path)


def plot_regret(simulation: Simulation, path: str | Path) -> None:
    """Draw each policy's mean cumulative regret over decisions with its interval over seeds."""
    lines = {row.name: (simulation.decisions, row.regret_curve(simulation.confidence)) for row in simulation}
    curves(path, lines, title=f"regret in {simulation.environment}", x_label="decisions", y_label="cumulative regret")


def _different(front: Sequence[ComparisonRow]) -> list[ComparisonRow]:
    """Return the points of a front that are better than the one before, also at their interval's lower end."""
    kept: list[ComparisonRow] = []
    for row in front:
        if not kept or row.low > kept[-1].value:
            kept.append(row)
    return kept
