"""The demo's pictures. Needs matplotlib (extra `plots`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from arms.atomic_file import atomic_file

PALETTE = ("#9aa0a6", "#4c78a8", "#2f4b7c", "#e45756", "#f2a541", "#54a24b", "#b279a2", "#72b7b2")


def bars_by_group(
    path: Path,
    values: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    y_label: str,
    line: float | None = None,
) -> None:
    """Draw grouped bars: one group per outer key, one bar per inner key.

    Args:
        path: PNG to write.
        values: group to (bar to height); all groups have the same bars.
        title: above the plot.
        y_label: beside the axis.
        line: height of a dashed reference line.
    """
    figure, axes = _axes(path)
    groups, names = list(values), list(next(iter(values.values())))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        places = np.arange(len(groups)) + (i - (len(names) - 1) / 2) * width
        axes.bar(places, [values[group][name] for group in groups], width, label=name, color=_color(i))
    axes.set_xticks(np.arange(len(groups)), groups)
    if line is not None:
        axes.axhline(line, color="#444", linewidth=0.8, linestyle="--")
    axes.set_ylabel(y_label)
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, ncols=min(4, len(names)), loc="upper center", bbox_to_anchor=(0.5, -0.1))
    _save(figure, path)


def picks_by_domain(path: Path, picks: Mapping[str, Mapping[str, Mapping[str, float]]], arms: Sequence[str]) -> None:
    """Draw, for each policy, a bar per domain divided by the share of queries given to each arm.

    Args:
        path: PNG to write.
        picks: policy to (domain to (arm to share)).
        arms: order of the arms.
    """
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(picks), figsize=(2.6 + 3.2 * len(picks), 4.2), sharey=True, squeeze=False)
    for axes, (policy, by_domain) in zip(panels[0], picks.items(), strict=True):
        domains = list(by_domain)
        left = np.zeros(len(domains))
        for i, arm in enumerate(arms):
            shares = np.array([by_domain[domain].get(arm, 0.0) for domain in domains])
            axes.barh(domains, shares, left=left, color=_color(i), label=arm)
            left += shares
        axes.set_title(policy, loc="left")
        axes.set_xlim(0, 1)
        axes.set_xlabel("share of queries")
        axes.spines[["top", "right"]].set_visible(False)
    panels[0][0].invert_yaxis()
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=min(5, len(arms)), loc="lower center")
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    _save(figure, path)


def _axes(path: Path) -> tuple[Any, Any]:
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(10, 4.6))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _color(index: int) -> str:
    return PALETTE[index % len(PALETTE)]


def _save(figure: Any, path: Path) -> None:
    from matplotlib import pyplot

    with atomic_file(path) as file:
        figure.savefig(file, dpi=130, bbox_inches="tight", format=path.suffix[1:])
    pyplot.close(figure)
