"""The benchmark's picture: times against the peers', growth, and differences in reward."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

INK, OURS, PEER = "#444444", "#2f4b7c", "#e45756"


def draw(parts: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Write a PNG with one panel for each part that was measured."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = [name for name in ("speed", "quality") if name in parts and parts[name]["rows"]]
    if not panels:
        return
    picture, axes = plt.subplots(1, len(panels), figsize=(6.4 * len(panels), 5.2), layout="constrained", squeeze=False)
    for name, panel in zip(panels, axes[0], strict=True):
        {"speed": _speed, "quality": _quality}[name](panel, parts[name])
    picture.savefig(path, dpi=120)
    plt.close(picture)


def _speed(panel: Any, part: Mapping[str, Any]) -> None:
    """Ratios of the widest size, ours over each peer's."""
    wide = max(row["d"] for row in part["rows"])
    rows = [row for row in part["rows"] if row["d"] == wide]
    places = np.arange(len(rows))
    for place, row in zip(places, rows, strict=True):
        color = OURS if row["same_rule"] else "#9aa0a6"
        panel.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.5)
        panel.plot(row["ratio"], place, "o", color=color, markersize=4)
    panel.axvline(1.0, color=INK, linewidth=0.8, linestyle="--")
    panel.set_xscale("log")
    panel.set_yticks(places, [f"{row['peer']}: {row['operation']}" for row in rows], fontsize=7)
    panel.invert_yaxis()
    panel.set(
        xlabel="our LinUCB's time over the peer's (grey: another rule)", title=f"Time a row, d = {wide}, one thread"
    )


def _quality(panel: Any, part: Mapping[str, Any]) -> None:
    """Differences in mean reward, ours less the best peer's."""
    rows = [row for row in part["rows"] if "best_peer" in row]
    for place, row in enumerate(rows):
        difference = row["best_peer"]
        color = OURS if row["algorithm"] == "LinUCB" else PEER
        panel.plot([difference["low"], difference["high"]], [place, place], color=color, linewidth=1.5)
        panel.plot(difference["value"], place, "o", color=color, markersize=4)
    names = [f"{row['data_set']}, {row['way']}: {row['algorithm']}" for row in rows]
    panel.axvline(0.0, color=INK, linewidth=0.8, linestyle="--")
    panel.set_yticks(range(len(rows)), names, fontsize=7)
    panel.invert_yaxis()
    panel.set(xlabel="mean reward, ours less the best peer's", title="Reward on the same feedback")
