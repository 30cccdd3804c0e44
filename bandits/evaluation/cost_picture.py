"""A picture of cost against quality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bandits.evaluation.canvas import legend_below, new_figure, plain, save_figure
from bandits.evaluation.colours import GRID, TEXT, colours_of
from bandits.evaluation.front import hull
from bandits.statistics.estimate import Estimate

_NEAR = 0.06  # of the picture, about a label's height: points nearer than this share a label
_MIXED = "mixing arms"
_WIDE = 20.0  # times the least cost: from here on the axis is logarithmic


@dataclass(frozen=True, slots=True)
class CostPoint:
    """A point with intervals in both directions.

    Attributes:
        name: beside the point; "" for none.
        cost: across.
        value: upwards.
        mark: matplotlib's name of it.
        hollow: whether it is only its outline, so that a policy over its favourite arm hides nothing.
        line: name of the line that it is on, whose colour it has; "" for its own.
        legend: name in the legend, and of its own colour; "" for none.
    """

    name: str
    cost: Estimate
    value: Estimate
    mark: str
    hollow: bool
    line: str = ""
    legend: str = ""

    @property
    def colour_name(self) -> str:
        """Return the name that its colour is that of."""
        return self.line or self.legend or self.name


def hull_line(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the corners of the hull of (cost, value), cheapest first."""
    return [(cost, value) for cost, value in hull(np.array(points)).tolist()]


def draw_front(
    path: str | Path,
    points: Sequence[CostPoint],
    lines: Mapping[str, Sequence[tuple[float, float]]],
    cost_unit: str | None,
) -> None:
    """Draw points over lines; the line named "" is dashed, and stands in the legend only beside others.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure, (axes,) = new_figure(3.6)
    colours = colours_of(list(dict.fromkeys([*filter(None, lines), *(point.colour_name for point in points)])))
    for name, line in lines.items():
        colour, style = (colours[name], "-") if name else (TEXT, "--")
        axes.plot(
            *np.array(line).T, color=colour, linewidth=0.9, linestyle=style, zorder=1, label=plain(name) or _MIXED
        )
    for point in points:
        colour = colours[point.colour_name]
        axes.errorbar(
            point.cost.value,
            point.value.value,
            xerr=_error(point.cost),
            yerr=_error(point.value),
            fmt=point.mark,
            color=colour,
            mfc="none" if point.hollow else colour,
            ms=4 if point.line else 8,
            capsize=2,
            elinewidth=0.8,
            zorder=2,
            label=plain(point.legend) or None,
        )
    costs = [point.cost.value for point in points]
    if min(costs) > 0 and max(costs) > _WIDE * min(costs):
        axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    for names, cost, value in _labels([point for point in points if point.name], axes.get_xscale() == "log"):
        axes.annotate(plain(names), (cost, value), (7, 5), textcoords="offset points", color=TEXT, size=8)
    axes.set_xlabel("mean cost" + (f" ({plain(cost_unit)})" if cost_unit else ""), fontsize=9)
    axes.set_ylabel("mean reward (higher is better)", fontsize=9)
    axes.set_title("cost against quality", loc="left", color=TEXT, fontsize=10)
    if any(lines):
        figure.tight_layout()
        legend_below(figure, axes)
    save_figure(figure, path)


def _error(estimate: Estimate) -> list[list[float]]:
    return [[max(estimate.value - estimate.low, 0.0)], [max(estimate.high - estimate.value, 0.0)]]


def _labels(points: Sequence[CostPoint], logarithmic: bool) -> list[tuple[str, float, float]]:
    """Return (names, cost, value) of each label; points that lie on one another share one."""
    if not points:
        return []
    costs = np.array([point.cost.value for point in points])
    places = np.log(costs) if logarithmic else costs
    tall = float(np.ptp([point.value.value for point in points]))
    wide = float(np.ptp(places))
    labels: list[tuple[str, int]] = []
    for index, point in enumerate(points):
        for number, (names, first) in enumerate(labels):
            near = abs(places[first] - places[index]) <= _NEAR * wide
            if near and abs(points[first].value.value - point.value.value) <= _NEAR * tall:
                labels[number] = (f"{names}, {point.name}", first)
                break
        else:
            labels.append((point.name, index))
    return [(names, float(costs[first]), points[first].value.value) for names, first in labels]
