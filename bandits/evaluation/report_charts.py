"""The report's pictures, as SVG that fits any width; names stand beside them as text, so that none is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from bandits.statistics.estimate import Estimate

_WIDE = 20.0  # times the least cost: from here on the axis is logarithmic
_STEPS = (1, 2, 5, 10)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`, which are its ends; both are above 0 where it is logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def around(cls, values: Sequence[float], *, logarithmic: bool = False) -> Self:
        """Return a scale that holds all values, with a little room at both ends."""
        low, high = min(values), max(values)
        if logarithmic:
            room = (high / low) ** 0.05 if high > low else 1.1
            return cls(low / room, high * room, True)
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        return cls(low - room, high + room)

    def place(self, value: float) -> float:
        """Return where a value stands, in per cent of the way from `low` to `high`."""
        if self.logarithmic:
            return 100 * math.log(value / self.low) / math.log(self.high / self.low)
        return 100 * (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Return a few round values within the scale."""
        if self.logarithmic:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            steps = (1,) if last - first > 2 else (1, 2, 5)
            found = [step * 10.0**power for power in range(first, last + 1) for step in steps]
            return [tick for tick in found if self.low <= tick <= self.high]
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * step for step in _STEPS if power * step >= rough * 0.999)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [number * step for number in range(first, last + 1)]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point with intervals in both directions, numbered as in the list beside the picture."""

    number: int
    colour: str
    cost: Estimate
    value: Estimate


def strip(estimate: Estimate | None, axis: Axis, line: float | None) -> str:
    """Return an interval with its value on it, for a line of a table; `line` is dashed, as no difference is."""
    dashes = "" if line is None else _line(axis.place(line), 0, axis.place(line), 100, "zero")
    drawn = ""
    if estimate is not None:
        low, value, high = (_within(axis.place(end)) for end in (estimate.low, estimate.value, estimate.high))
        drawn = f'{_line(low, 50, high, 50, "bar")}<circle cx="{value:.2f}%" cy="50%" r="4"/>'
    return f'<svg class="strip" aria-hidden="true">{dashes}{drawn}</svg>'


def curve_chart(
    lines: Sequence[tuple[str, Sequence[tuple[float, Estimate]]]], label: str, *, logarithmic: bool = True
) -> str:
    """Return lines with the bands of their intervals.

    Args:
        lines: a colour each, and (place above 0, value), places ascending.
        label: what the picture shows, for who cannot see it.
        logarithmic: whether places double or so, and not follow evenly.
    """
    points = [point for _, line in lines for point in line]
    across = Axis.around([place for place, _ in points], logarithmic=logarithmic)
    upwards = Axis.around([end for _, value in points for end in value.interval])
    bands, marks = [], []
    for colour, line in lines:
        places = [(across.place(place), value) for place, value in line]
        edge = [(x, value.high) for x, value in places] + [(x, value.low) for x, value in reversed(places)]
        outline = " ".join(f"{x:.2f},{100 - upwards.place(y):.2f}" for x, y in edge)
        bands.append(f'<polygon points="{outline}" fill="{colour}" fill-opacity="0.13"/>')
        marks.append(_joined([(x, upwards.place(value.value)) for x, value in places], colour))
        marks += [_dot(x, upwards.place(value.value), colour) for x, value in places]
    ticks = sorted({round(place) for place, _ in points})
    stretched = f'<svg viewBox="0 0 100 100" preserveAspectRatio="none">{"".join(bands)}</svg>'
    return _framed(across, ticks, upwards, [stretched, *marks], label)


def cost_chart(marks: Sequence[Mark], lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], label: str) -> str:
    """Return cost across and value upwards: numbered points with intervals, over lines.

    Args:
        marks: at least one; the later ones lie above.
        lines: a colour each, and (cost, value), costs ascending.
        label: what the picture shows, for who cannot see it.
    """
    costs = [mark.cost.value for mark in marks]
    wide = min(costs) > 0 and max(costs) > _WIDE * min(costs)
    ends = [end for mark in marks for end in (*mark.cost.interval, mark.cost.value) if end > 0 or not wide]
    across = Axis.around(ends, logarithmic=wide)
    upwards = Axis.around([end for mark in marks for end in (*mark.value.interval, mark.value.value)])
    parts = [
        _joined([(across.place(cost), upwards.place(value)) for cost, value in line], colour) for colour, line in lines
    ]
    for mark in marks:
        x, y = across.place(mark.cost.value), upwards.place(mark.value.value)
        left, right = (across.place(max(end, across.low)) for end in mark.cost.interval)
        low, high = (100 - upwards.place(end) for end in mark.value.interval)
        parts.append(f'<g stroke="{mark.colour}">{_line(left, 100 - y, right, 100 - y)}{_line(x, low, x, high)}</g>')
    for mark in marks:
        x, y = across.place(mark.cost.value), upwards.place(mark.value.value)
        at = f'x="{x:.2f}%" y="{100 - y:.2f}%"'
        parts.append(_dot(x, y, mark.colour, 9) + f'<text class="number" {at} dy="4">{mark.number}</text>')
    return _framed(across, across.ticks(), upwards, parts, label)


def _framed(across: Axis, x_ticks: Sequence[float], upwards: Axis, parts: Sequence[str], label: str) -> str:
    """Return the parts over a grid, whose figures stand left of its lines and below the picture."""
    grid = []
    for tick in upwards.ticks():
        y = 100 - upwards.place(tick)
        grid.append(
            _line(0, y, 100, y, "grid") + f'<text class="y" x="0" dx="-6" y="{y:.2f}%" dy="4">{tick:.4g}</text>'
        )
    for tick in x_ticks:
        x = across.place(tick)
        grid.append(f'<text class="x" x="{x:.2f}%" y="100%" dy="18">{tick:,.6g}</text>')
    return f'<svg class="plot" role="img" aria-label="{label}">{"".join([*grid, *parts])}</svg>'


def _joined(points: Sequence[tuple[float, float]], colour: str) -> str:
    return f'<g stroke="{colour}">{"".join(_line(a, 100 - b, c, 100 - d) for (a, b), (c, d) in pairwise(points))}</g>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "") -> str:
    named = f' class="{kind}"' if kind else ""
    return f'<line{named} x1="{x1:.2f}%" y1="{y1:.2f}%" x2="{x2:.2f}%" y2="{y2:.2f}%"/>'


def _dot(x: float, y: float, colour: str, radius: int = 3) -> str:
    return f'<circle cx="{x:.2f}%" cy="{100 - y:.2f}%" r="{radius}" fill="{colour}"/>'


def _within(place: float) -> float:
    return min(max(place, 0.0), 100.0)
