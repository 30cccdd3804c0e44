"""The benchmark's pictures: times against the peers', and differences in reward."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bandits.evaluation.canvas import legend_below, save_figure, stacked_figure
from bandits.evaluation.colours import TEXT, colour_of

OPERATIONS = {
    "fit": "learn from a log",
    "batch": "choose for a batch",
    "decision": "choose once",
    "online": "choose once and learn",
}
_ROW, _HEAD = 0.24, 0.75  # inches


def draw(parts: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write a PNG for each part that was measured: times at `path`, rewards beside it."""
    for name, picture in (("speed", _speed), ("quality", _quality)):
        if name in parts and parts[name]["rows"]:
            picture(parts[name], path if name == "speed" else path.with_stem(f"{path.stem}_rewards"))


def _speed(part: Mapping[str, Any], path: Path) -> None:
    """Draw ratios of the widest size, ours over each peer's, a panel an operation."""
    wide = max(row["d"] for row in part["rows"])
    widest = [row for row in part["rows"] if row["d"] == wide]
    measured = {row["operation"] for row in widest}
    rows = {name: [row for row in widest if row["operation"] == name] for name in OPERATIONS if name in measured}
    figure, panels = stacked_figure([_HEAD + _ROW * len(own) for own in rows.values()], same_x=True)
    for axes, (operation, own) in zip(panels, rows.items(), strict=True):
        for place, row in enumerate(own):
            color, mark = (colour_of("LinUCB"), "o") if row["same_rule"] else (TEXT, "s")
            axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.5)
            axes.plot(row["ratio"], place, mark, color=color, markersize=5)
        axes.axvline(1.0, color=TEXT, linewidth=0.8, linestyle="--")
        axes.set_yticks(range(len(own)), [re.sub(r" LinUCB\b", "", row["peer"]) for row in own])
        axes.set_ylim(len(own) - 0.5, -0.5)
        axes.set_title(OPERATIONS[operation], loc="left", color=TEXT, fontsize=10)
    panels[-1].set_xscale("log")
    panels[-1].set_xticks([0.01, 0.1, 1.0], ["1/100", "1/10", "1"])
    panels[-1].minorticks_off()
    panels[-1].set_xlabel(f"our LinUCB's time over theirs, {wide} features\n(grey squares: another rule)", fontsize=9)
    save_figure(figure, path)


def _quality(part: Mapping[str, Any], path: Path) -> None:
    """Draw differences in mean reward, ours less the best peer's; nothing where no peer was measured."""
    rows = [row for row in part["rows"] if "best_peer" in row]
    if not rows:
        return
    places = list(dict.fromkeys((row["data_set"], row["way"]) for row in rows))
    figure, (axes,) = stacked_figure([_HEAD + 1.6 * _ROW * len(places)])
    for row in rows:
        difference, color = row["best_peer"], colour_of(row["algorithm"])
        place = places.index((row["data_set"], row["way"])) + (-0.17 if row["algorithm"] == "LinUCB" else 0.17)
        axes.plot([difference["low"], difference["high"]], [place, place], color=color, linewidth=1.5)
        axes.plot(difference["value"], place, "o", color=color, markersize=5)
    for algorithm in dict.fromkeys(row["algorithm"] for row in rows):
        axes.plot([], [], "o", color=colour_of(algorithm), label=algorithm)
    axes.axvline(0.0, color=TEXT, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(places)), [f"{name},\n{way}" for name, way in places])
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.set_xlabel("mean reward, ours less the best peer's", fontsize=9)
    legend_below(figure, axes)
    save_figure(figure, path)
