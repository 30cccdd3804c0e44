"""A picture of values over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bandits.evaluation.arm_change import is_date
from bandits.evaluation.canvas import legend_below, plain, save_figure, stacked_figure
from bandits.evaluation.colours import GRID, TEXT, colours_of
from bandits.evaluation.rolling_result import RollingEvaluation
from bandits.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_KINDS = {"reward": "changed", "came": "came", "went": "went"}
_MOST_NAMED = 4  # changes whose arms are written at their lines
_BEST = "best arm of the window"
_DAY = 86_400.0  # seconds; matplotlib's dates are days since 1970


def draw_rolling(result: RollingEvaluation, path: str | Path) -> None:
    """Draw values window by window, and below what is earned more than the best fixed arm so far.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure, (values, gains) = stacked_figure([2.6, 1.9], same_x=True)
    windows = result.windows
    dated = all(is_date(time) for window in windows for time in (window.start, window.stop))
    unit = _DAY if dated else 1.0
    middles = [(window.start + window.stop) / 2 / unit for window in windows]
    colours = colours_of(result.names)
    values.plot(middles, [w.best_value for w in windows], color=TEXT, linestyle=":", linewidth=1, label=_BEST)
    for row in result:
        own = [point for point in result.points if point.name == row.name]
        xs = [middles[point.window - 1] for point in own]
        if row.kind == "frozen":
            policy = colours[row.name.removesuffix(", frozen")]
            values.plot(xs, [point.value for point in own], color=policy, linestyle="--", linewidth=0.9)
            continue
        _band(values, xs, own, colours[row.name], plain(row.name))
        later = [(x, p.difference_so_far) for x, p in zip(xs, own, strict=True) if p.difference_so_far is not None]
        _band(gains, [x for x, _ in later], [gain for _, gain in later], colours[row.name], None)
    values.plot([], [], color=TEXT, linestyle="--", linewidth=0.9, label="frozen after the first part")
    gains.axhline(0.0, color=TEXT, linewidth=0.8)
    _mark(result, (values, gains), unit)
    if dated:
        _date(gains)
    values.set_title("policies that learn over time (grey: the first part)", loc="left", color=TEXT, fontsize=10)
    values.set_ylabel("mean reward", fontsize=9)
    gains.set_ylabel("more than the best\nfixed arm so far", fontsize=9)
    gains.set_xlabel("time (UTC)" if dated else "time", fontsize=9)
    legend_below(figure, values)
    save_figure(figure, path)


def _band(axes: Axes, places: Sequence[float], points: Sequence[Estimate], colour: str, label: str | None) -> None:
    """Draw a line with its band of intervals."""
    axes.plot(places, [point.value for point in points], color=colour, marker="o", markersize=3, label=label)
    low, high = [point.low for point in points], [point.high for point in points]
    axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)


def _mark(result: RollingEvaluation, panels: Sequence[Axes], unit: float) -> None:
    """Shade the first part, and draw a line where an arm changed, with its name in the last panel."""
    start, stop = result.windows[0].start, result.windows[result.n_first - 1].stop
    for axes in panels:
        axes.axvspan(start / unit, stop / unit, color=GRID, linewidth=0)
        for change in result.changes:
            axes.axvline(change.time / unit, color=TEXT, linewidth=0.8, linestyle=(0, (1, 2)))
        axes.grid(axis="y", color=GRID, linewidth=0.6)
    for change in result.changes[:_MOST_NAMED]:
        panels[-1].annotate(
            plain(f"{change.arm} {_KINDS[change.kind]}"),
            (change.time / unit, 0.0),
            (3, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            va="bottom",
            color=TEXT,
            size=8,
        )


def _date(axes: Axes) -> None:
    """Label an axis of days since 1970 with dates."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=7)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set(color=TEXT, fontsize=9)
