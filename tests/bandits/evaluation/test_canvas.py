"""An interval is seen wherever it lies: light on its bar, in the colour of text beside it."""

from dataclasses import replace

import pytest

pytest.importorskip("matplotlib")

from matplotlib.colors import to_hex

from bandits.evaluation import canvas
from bandits.evaluation.colours import TEXT
from bandits.evaluation.cost_picture import CostPoint, draw_front
from bandits.statistics.estimate import Estimate

LIGHT = "#ffffff"


@pytest.mark.parametrize(
    ("value", "interval", "pieces"),
    [
        (0.1, (-0.2, 0.4), {(-0.2, 0.0): TEXT, (0.0, 0.1): LIGHT, (0.1, 0.4): TEXT}),
        (-0.1, (-0.4, 0.2), {(-0.4, -0.1): TEXT, (-0.1, 0.0): LIGHT, (0.0, 0.2): TEXT}),
        (0.5, (0.3, 0.6), {(0.3, 0.5): LIGHT, (0.5, 0.6): TEXT}),
        (-0.5, (-0.6, -0.3), {(-0.6, -0.5): TEXT, (-0.5, -0.3): LIGHT}),
        (0.0, (-0.1, 0.1), {(-0.1, 0.0): TEXT, (0.0, 0.1): TEXT}),
    ],
)
def test_an_interval_is_light_on_its_bar_alone(tmp_path, monkeypatch, value, interval, pieces):
    figures = []
    monkeypatch.setattr(canvas, "save_figure", lambda figure, path: figures.append(figure))
    canvas.interval_bars(tmp_path / "x.png", {"x": Estimate(value, *interval)}, title="x", x_label="x")
    lines, caps = {}, {}
    for collection in figures[0].axes[0].collections:
        (x, y), (end_x, end_y) = collection.get_segments()[0]
        (lines if y == end_y else caps)[(x, end_x)] = to_hex(collection.get_color()[0])
    assert lines == pieces
    on_bar = {end for end in interval if min(value, 0) < end < max(value, 0)}
    assert caps == {(end, end): LIGHT if end in on_bar else TEXT for end in interval}


def test_names_in_pictures_are_no_formulas(tmp_path):
    bad = r"$\nothing{$ a$b <c> \$"
    estimate = Estimate(0.5, 0.3, 0.6)
    canvas.interval_bars(tmp_path / "bars.svg", {bad: estimate}, title=bad, x_label=bad)
    canvas.stacked_shares(tmp_path / "shares.svg", {bad: {bad: {bad: 1.0}}}, [bad])
    canvas.curves(tmp_path / "curves.svg", {bad: ([1, 2], [estimate] * 2)}, title=bad, x_label=bad, y_label="y")
    point = CostPoint(bad, estimate, estimate, "o", True)
    draw_front(tmp_path / "front.svg", [point, replace(point, name="", legend=bad)], {bad: [(0.5, 0.5)]}, bad)
    assert canvas.plain("$5 or $6") == r"\$5 or \$6"
