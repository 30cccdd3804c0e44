"""Pictures of comparisons and simulations. Needs matplotlib (extra `plots`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arms.atomic_file import atomic_file
from arms.optional_import import optional_import
from bandits.evaluation.comparison import Comparison

if TYPE_CHECKING:
    from bandits.simulation.simulation import Simulation


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
    figure, axes = _axes()
    first = estimator or comparison.rows[0].estimator
    marks = {"policy": "o", "arm": "s", "log": "D", "oracle": "*"}
    for row in comparison.rows:
        if row.cost is None or row.estimator not in (first, "on policy"):
            continue
        low, high = row.value.value - row.value.low, row.value.high - row.value.value
        error = [[max(low, 0.0)], [max(high, 0.0)]]
        axes.errorbar(row.cost.value, row.value.value, yerr=error, fmt=marks[row.kind], capsize=2, label=row.name)
    costs = [row.cost.value for row in front if row.cost is not None]
    axes.plot(costs, [row.value.value for row in front], color="#444", linewidth=0.8, linestyle="--", zorder=0)
    if min(costs) > 0 and max(costs) > 20 * min(costs):
        axes.set_xscale("log")
    axes.set_xlabel("mean cost")
    axes.set_ylabel("mean reward")
    axes.set_title("cost against quality", loc="left")
    _save(figure, axes, path)


def plot_learning_curves(comparison: Comparison, path: str | Path, estimator: str | None = None) -> None:
    """Draw each policy's value over the number of training rows; see `plot_pareto`."""
    figure, axes = _axes()
    first = estimator or comparison.curves[0].estimator
    points = [point for point in comparison.curves if point.estimator == first]
    for name in dict.fromkeys(point.name for point in points):
        own = sorted((point for point in points if point.name == name), key=lambda point: point.n_train)
        sizes = [point.n_train for point in own]
        (line,) = axes.plot(sizes, [point.value.value for point in own], marker="o", markersize=3, label=name)
        low, high = [point.value.low for point in own], [point.value.high for point in own]
        axes.fill_between(sizes, low, high, color=line.get_color(), alpha=0.12, linewidth=0)
    axes.set_xscale("log")
    axes.set_xlabel("training rows")
    axes.set_ylabel("mean reward")
    axes.set_title(f"learning curves ({first})", loc="left")
    _save(figure, axes, path)


def plot_regret(simulations: Mapping[str, Simulation], path: str | Path) -> None:
    """Draw mean cumulative regret over decisions with its interval over seeds, a line a simulation."""
    figure, axes = _axes()
    for name, simulation in simulations.items():
        curve = simulation.regret_curve()
        (line,) = axes.plot(simulation.decisions, [point.value for point in curve], label=name)
        low, high = [point.low for point in curve], [point.high for point in curve]
        axes.fill_between(simulation.decisions, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_xlabel("decisions")
    axes.set_ylabel("cumulative regret")
    axes.set_title("regret", loc="left")
    _save(figure, axes, path)


def _axes() -> tuple[Any, Any]:
    pyplot = optional_import("matplotlib.figure", "plots")
    figure = pyplot.Figure(figsize=(8, 4.8))
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Any, axes: Any, path: str | Path) -> None:
    axes.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5))
    with atomic_file(path) as file:
        figure.savefig(file, dpi=130, bbox_inches="tight", format=Path(path).suffix[1:])
