"""What all pictures share: size and type for a phone's width, no background, text that is legible on light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import atomic_file
from arms.optional_import import optional_import
from arms.shown_text import visible
from bandits.evaluation.colours import GRID, TEXT, colours_of
from bandits.statistics.estimate import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 5.0  # inches: text of 9 to 10 points is then readable on a screen of 360 pixels
_BAR_HEIGHT = 0.3
_ON_BAR = "#ffffff"
_LABEL_SHARE = 0.16  # of the longest bar: the width of a figure beside it
_LEGEND_LETTERS = 66  # of 9 points on a line of `WIDTH`


def new_figure(height: float, n_columns: int = 1, width: float = WIDTH) -> tuple[Figure, list[Axes]]:
    """Return a figure of `height` inches and its axes, side by side.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    figure: Figure = optional_import("matplotlib.figure", "plots").Figure(figsize=(width, height))
    return figure, _styled(figure, figure.subplots(1, n_columns, squeeze=False)[0])


def stacked_figure(heights: Sequence[float], *, same_x: bool = False) -> tuple[Figure, list[Axes]]:
    """Return a figure of panels one below another, of these heights in inches; `same_x` gives them one x axis.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    size = (WIDTH, sum(heights))
    figure: Figure = optional_import("matplotlib.figure", "plots").Figure(figsize=size, layout="constrained")
    panels = figure.subplots(len(heights), 1, squeeze=False, sharex=same_x, height_ratios=heights)
    return figure, _styled(figure, panels[:, 0])


def _styled(figure: Figure, panels: Iterable[Axes]) -> list[Axes]:
    for axes in panels:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(TEXT)
        axes.tick_params(colors=TEXT, labelsize=9)
        axes.xaxis.label.set_color(TEXT)
        axes.yaxis.label.set_color(TEXT)
        axes.title.set_color(TEXT)
        axes.patch.set_alpha(0)
    figure.patch.set_alpha(0)
    return list(panels)


def plain(text: str) -> str:
    """Return a text that a picture shows as it is: without this, what stands between two dollar signs is a formula."""
    return visible(text).replace("$", r"\$")


def save_figure(figure: Figure, path: str | Path) -> None:
    """Write the picture without a background; the path's ending says which format."""
    with atomic_file(path) as file:
        figure.savefig(file, format=Path(path).suffix[1:], dpi=200, bbox_inches="tight", transparent=True)


def legend_below(figure: Figure, axes: Axes, n_columns: int = 2) -> None:
    """Draw the legend of the axes' labelled lines below the picture, in as many columns as its width holds."""
    handles, labels = axes.get_legend_handles_labels()
    fitting = max(1, _LEGEND_LETTERS // (max(map(len, labels)) + 6))
    figure.legend(
        handles,
        labels,
        frameon=False,
        fontsize=9,
        labelcolor=TEXT,
        ncols=min(n_columns, fitting, len(labels)),
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
    )


def interval_bars(
    path: str | Path, bars: Mapping[str, Estimate | float], *, title: str, x_label: str, line: float | None = None
) -> None:
    """Draw horizontal bars, each in its name's colour, with its value and, where it is known, its interval.

    Args:
        path: file to write.
        bars: from top to bottom, by the name of an arm or policy.
        title: above the picture.
        x_label: below the axis.
        line: place of a dashed line, such as 1 for no draft's speed.
    """
    figure, (axes,) = stacked_figure([0.9 + _BAR_HEIGHT * len(bars)])
    names = list(bars)
    colours = colours_of(names)
    values = [bar.value if isinstance(bar, Estimate) else bar for bar in bars.values()]
    places = range(len(names))
    axes.barh(places, values, height=0.7, color=[colours[name] for name in names])
    ends = []
    for place, bar, value in zip(places, bars.values(), values, strict=True):
        low, high = bar.interval if isinstance(bar, Estimate) else (value, value)
        ends.append(max(high, value, 0.0))
        _draw_interval(axes, place, value, low, high)
    room = _LABEL_SHARE * max(ends, default=0.0)
    for place, value, end in zip(places, values, ends, strict=True):
        if line is not None and end <= line < end + room:  # or the dashes would cross the figure
            end = line
        axes.annotate(f"{value:.2f}", (end, place), (4, 0), textcoords="offset points", va="center", color=TEXT, size=9)
    axes.set_yticks(places, [plain(name) for name in names])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    if line is not None:
        axes.axvline(line, color=TEXT, linewidth=0.8, linestyle="--", zorder=0)
    _label(axes, title, x_label)
    save_figure(figure, path)


def _draw_interval(axes: Axes, place: int, value: float, low: float, high: float) -> None:
    """Draw an interval over a bar from 0 to the value: light on the bar, the colour of text beyond its ends."""
    if high <= low:
        return
    left, right = min(value, 0.0), max(value, 0.0)
    pieces = ((low, min(high, left), TEXT), (max(low, left), min(high, right), _ON_BAR), (max(low, right), high, TEXT))
    for start, end, colour in pieces:
        if end > start:
            axes.hlines(place, start, end, color=colour, linewidth=1)
    for cap in (low, high):
        axes.vlines(cap, place - 0.14, place + 0.14, color=_ON_BAR if left < cap < right else TEXT, linewidth=1)


def stacked_shares(
    path: str | Path, shares: Mapping[str, Mapping[str, Mapping[str, float]]], names: Sequence[str]
) -> None:
    """Draw a panel below another for each key, a bar for each group divided by the shares of `names`.

    Args:
        path: file to write.
        shares: panel (a policy) to (group (a domain) to (name (an arm) to share)).
        names: in the order in which a bar is divided.
    """
    figure, panels = stacked_figure([0.55 + _BAR_HEIGHT * len(by_group) for by_group in shares.values()], same_x=True)
    colours = colours_of(names)
    for axes, (title, by_group) in zip(panels, shares.items(), strict=True):
        left = [0.0] * len(by_group)
        for name in names:
            widths = [group.get(name, 0.0) for group in by_group.values()]
            axes.barh(
                [plain(group) for group in by_group],
                widths,
                left=left,
                height=0.75,
                color=colours[name],
                label=plain(name),
            )
            left = [a + b for a, b in zip(left, widths, strict=True)]
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.set_title(plain(title), loc="left", color=TEXT, fontsize=10)
    panels[-1].set_xlabel("share of queries", color=TEXT, fontsize=9)
    legend_below(figure, panels[0], 3)
    save_figure(figure, path)


def curves(
    path: str | Path,
    lines: Mapping[str, tuple[Sequence[float], Sequence[Estimate]]],
    *,
    title: str,
    x_label: str,
    y_label: str,
    x_ticks: Sequence[int] | None = None,
) -> None:
    """Draw a line for each name with its band of intervals; `x_ticks` makes the axis logarithmic, with these labels."""
    figure, (axes,) = new_figure(3.4)
    colours = colours_of(list(lines))
    for name, (places, points) in lines.items():
        mark = "o" if len(points) < 20 else None
        axes.plot(
            places, [point.value for point in points], color=colours[name], marker=mark, markersize=3, label=plain(name)
        )
        low, high = [point.low for point in points], [point.high for point in points]
        axes.fill_between(places, low, high, color=colours[name], alpha=0.15, linewidth=0)
    if x_ticks is not None:
        axes.set_xscale("log")
        axes.set_xticks(x_ticks, [f"{tick:,}" for tick in x_ticks])
        axes.minorticks_off()
    axes.grid(axis="y", color=GRID, linewidth=0.6)
    _label(axes, title, x_label, y_label)
    figure.tight_layout()
    legend_below(figure, axes)
    save_figure(figure, path)


def _label(axes: Axes, title: str, x_label: str, y_label: str | None = None) -> None:
    axes.set_title(plain(title), loc="left", color=TEXT, fontsize=10)
    axes.set_xlabel(plain(x_label), color=TEXT, fontsize=9)
    if y_label is not None:
        axes.set_ylabel(y_label, color=TEXT, fontsize=9)
