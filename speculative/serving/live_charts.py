"""The live page's two pictures, as SVG that stretches to the width there is; their scales stand beside them as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arms.shown_text import escape
from speculative.serving.trial_curve import CurvePoint

N_BINS = 48
_LEAST = 8  # decisions that a bar is made of
_WIDTH, _HEIGHT = 720, 160


def shares_chart(chosen: Sequence[str], colours: Mapping[str, str]) -> str:
    """Return bars of how often each arm was chosen, from the oldest decisions to the newest.

    Args:
        chosen: an arm a decision, at least one.
        colours: of the arms, which are stacked in this order.
    """
    n_bins = max(1, min(N_BINS, len(chosen) // _LEAST))
    bars = []
    for place in range(n_bins):
        own = chosen[place * len(chosen) // n_bins : (place + 1) * len(chosen) // n_bins]
        bottom = float(_HEIGHT)
        for arm, colour in colours.items():
            height = _HEIGHT * own.count(arm) / len(own)
            if height:
                bottom -= height
                size = f'width="{_WIDTH / n_bins - 1:.2f}" height="{height:.2f}"'
                at = f'x="{_WIDTH * place / n_bins:.2f}" y="{bottom:.2f}"'
                bars.append(f'<rect {at} {size} fill="{colour}"><title>{escape(arm)}</title></rect>')
    return _svg("shares", "Share of each arm among the decisions, from oldest to newest", bars)


def gain_scale(points: Sequence[CurvePoint]) -> float:
    """Return the gain at the upper edge of `gain_chart`; the lower edge is its opposite.

    The band begins as wide as the rewards and says little then, so the later half decides.
    """
    later = points[len(points) // 2 :]
    widest = max(max(abs(point.low), abs(point.high), abs(point.estimate)) for point in later)
    return widest * 1.1 or 1.0


def gain_chart(points: Sequence[CurvePoint], colour: str) -> str:
    """Return the estimate with its band over the number of decisions, and a line at no difference.

    Args:
        points: of a trial, at least one.
        colour: of line and band.
    """
    scale, first, last = gain_scale(points), points[0].n, points[-1].n

    def place(n: int, value: float) -> str:
        x = _WIDTH * (n - first) / (last - first) if last > first else 0.0
        return f"{x:.1f},{_HEIGHT / 2 * (1 - max(-2.0, min(2.0, value / scale))):.1f}"

    band = [place(point.n, point.high) for point in points]
    band += [place(point.n, point.low) for point in reversed(points)]
    line = " ".join(place(point.n, point.estimate) for point in points)
    parts = [
        f'<polygon points="{" ".join(band)}" fill="{colour}" fill-opacity="0.22"/>',
        f'<line class="zero" x1="0" x2="{_WIDTH}" y1="{_HEIGHT / 2}" y2="{_HEIGHT / 2}"/>',
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>',
    ]
    return _svg("gain", "Estimated gain with its confidence sequence, over decisions", parts)


def _svg(kind: str, label: str, parts: Sequence[str]) -> str:
    view = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none"'
    return f'<svg class="{kind}" role="img" aria-label="{label}" {view}>{"".join(parts)}</svg>'
