"""The table that most experiments share: everything that chooses, in each of several settings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from bandits import Estimate
from bandits.evaluation.canvas import curves, interval_bars
from paper_parts.choosing import FIXED, LEARNED, Asked, Choices, choices_of
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

Settings = Mapping[str, Asked]


def compared(stored: Stored, settings: Settings, seeds: Sequence[int]) -> dict[str, Choices]:
    """Return what chooses in each setting."""
    return {name: choices_of(stored, asked, seeds) for name, asked in settings.items()}


def table(found: Mapping[str, Choices], heading: str = "setting") -> list[dict[str, object]]:
    """Return a row for everything that chooses in every setting."""
    rows: list[dict[str, object]] = []
    for setting, choices in found.items():
        for name in choices.seconds:
            most = int(np.argmax(choices.picks[name]))
            rows.append(
                {
                    heading: setting,
                    "name": name,
                    f"times {NO_DRAFT}": choices.over(name, NO_DRAFT),
                    f"times {FIXED}": choices.over(name, FIXED),
                    "most picked": choices.arms[most],
                    "share": float(choices.picks[name][most]),
                }
            )
    return rows


def best_learned(choices: Choices) -> str:
    """Return the learned policy of fewest total seconds."""
    return min(LEARNED, key=lambda name: choices.seconds[name].mean(axis=0).sum())


def gain(choices: Choices, name: str = "REINFORCE") -> str:
    """Say how fast REINFORCE, or another, is."""
    plain, fixed = choices.over(name, NO_DRAFT), choices.over(name, FIXED)
    return f"{name} is {plain:.2f} times as fast as no draft and {fixed:.2f} times the best fixed arm"


def bars(found: Mapping[str, Choices], names: Sequence[str], title: str) -> Callable[[Path], None]:
    """Return what draws a bar for each of some names in each setting, over no draft."""
    shown = {
        (f"{name}, {setting}" if len(found) > 1 else name): choices.over(name, NO_DRAFT)
        for setting, choices in found.items()
        for name in names
    }
    return lambda path: interval_bars(path, shown, title=title, x_label="times as fast as no draft", line=1.0)


def lines(
    found: Mapping[str, Sequence[Estimate]], places: Sequence[float], title: str, x_label: str
) -> Callable[[Path], None]:
    """Return what draws a line of estimates for each name."""
    drawn = {name: (places, points) for name, points in found.items()}
    return lambda path: curves(path, drawn, title=title, x_label=x_label, y_label="times as fast as no draft")
