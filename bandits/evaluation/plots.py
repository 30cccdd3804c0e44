"""Pictures of evaluations, comparisons and simulations. Needs matplotlib (extra `plots`)."""

from __future__ import annotations

from pathlib import Path

from bandits.evaluation.canvas import curves, interval_bars, new_figure, save_figure
from bandits.evaluation.colours import TEXT, colours_of
from bandits.evaluation.comparison import Comparison, ComparisonRow, CurvePoint
from bandits.evaluation.evaluation import Evaluation
from bandits.simulation.simulation import Simulation
from bandits.statistics.estimate import Estimate

_MARKS = {"policy": "o", "arm": "s", "log": "D", "oracle": "*", "fixed": "s"}
_MOST_SEGMENTS = 20
_NEAR = 0.06  # of the picture, about a label's height: points nearer than this share a label


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


def plot_pareto(comparison: Comparison, path: str | Path, estimator: str | None = None) -> None:
    """Draw cost against quality: policies and arms with their intervals, and the line that none beats.

    Args:
        comparison: of data with costs.
        path: file to write; its ending says which format.
        estimator: whose values; None takes the first.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if the data hold no costs.
    """
    front = comparison.pareto(estimator)
    first = estimator or comparison.rows[0].estimator
    rows = [row for row in comparison if row.kind != "fixed" and row.estimator in (first, "on policy")]
    priced = [(row, row.cost.value) for row in rows if row.cost is not None]
    figure, (axes,) = new_figure(3.6)
    colours = colours_of([row.name for row, _ in priced])
    for row, cost in priced:
        error = [[max(row.value - row.low, 0.0)], [max(row.high - row.value, 0.0)]]
        hollow = "none" if row.kind == "policy" else colours[row.name]  # a policy over its favourite arm hides nothing
        axes.errorbar(
            cost, row.value, yerr=error, fmt=_MARKS[row.kind], color=colours[row.name], mfc=hollow, ms=8, capsize=2
        )
    costs = [row.cost.value for row in front if row.cost is not None]
    axes.plot(costs, [row.value for row in front], color=TEXT, linewidth=0.8, linestyle="--", zorder=0)
    if min(costs) > 0 and max(costs) > 20 * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.15)
    for names, cost, value in _labels(priced):
        axes.annotate(names, (cost, value), (7, 5), textcoords="offset points", color=TEXT, size=8)
    axes.set_xlabel("mean cost", fontsize=9)
    axes.set_ylabel("mean reward", fontsize=9)
    axes.set_title("cost against quality", loc="left", color=TEXT, fontsize=10)
    save_figure(figure, path)


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


def _labels(priced: list[tuple[ComparisonRow, float]]) -> list[tuple[str, float, float]]:
    """Return (names, cost, value) of each label; points that lie on one another share one."""
    wide = max(cost for _, cost in priced) - min(cost for _, cost in priced)
    tall = max(row.value for row, _ in priced) - min(row.value for row, _ in priced)
    labels: list[tuple[str, float, float]] = []
    for row, cost in priced:
        for index, (names, x, y) in enumerate(labels):
            if abs(x - cost) <= _NEAR * wide and abs(y - row.value) <= _NEAR * tall:
                labels[index] = (f"{names}, {row.name}", x, y)
                break
        else:
            labels.append((row.name, cost, row.value))
    return labels


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


def plot_regret(simulation: Simulation, path: str | Path) -> None:
    """Draw each policy's mean cumulative regret over decisions with its interval over seeds."""
    lines = {row.name: (simulation.decisions, row.regret_curve(simulation.confidence)) for row in simulation}
    curves(path, lines, title=f"regret in {simulation.environment}", x_label="decisions", y_label="cumulative regret")
