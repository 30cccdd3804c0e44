"""The demo's pictures. Needs matplotlib (extra `plots`)."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bandits.evaluation.canvas import legend_below, new_figure, save_figure, stacked_shares
from bandits.evaluation.colours import TEXT, colours_of

_GROUP_HEIGHT = 0.75


def bars_by_group(
    path: Path,
    values: Mapping[str, Mapping[str, float]],
    *,
    title: str,
    x_label: str,
    line: float | None = None,
) -> None:
    """Draw horizontal bars in groups: one group per outer key, one bar per inner key, in its name's colour.

    Args:
        path: PNG to write.
        values: group to (bar to length); all groups have the same bars.
        title: above the plot.
        x_label: below the axis.
        line: place of a dashed reference line.
    """
    groups, names = list(values), list(next(iter(values.values())))
    figure, (axes,) = new_figure(0.9 + _GROUP_HEIGHT * len(groups))
    colours = colours_of(names)
    thickness = 0.85 / len(names)
    for index, name in enumerate(names):
        places = [group + (index - (len(names) - 1) / 2) * thickness for group in range(len(groups))]
        axes.barh(places, [values[group][name] for group in groups], thickness, label=name, color=colours[name])
    axes.set_yticks(range(len(groups)), groups)
    axes.invert_yaxis()
    if line is not None:
        axes.axvline(line, color=TEXT, linewidth=0.8, linestyle="--")
    axes.set_xlabel(x_label, fontsize=9)
    axes.set_title(title, loc="left", color=TEXT, fontsize=10)
    figure.tight_layout()
    legend_below(figure, axes, 3)
    save_figure(figure, path)


def picks_by_domain(path: Path, picks: Mapping[str, Mapping[str, Mapping[str, float]]], arms: Sequence[str]) -> None:
    """Draw, for each policy, a bar per domain divided by the share of queries given to each arm.

    Args:
        path: PNG to write.
        picks: policy to (domain to (arm to share)).
        arms: order of the arms.
    """
    stacked_shares(path, picks, arms)
