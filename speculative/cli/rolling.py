"""`--rolling`: what policies earn that learn through the data in order of time."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file

if TYPE_CHECKING:
    from bandits import FullInformationData, LoggedData, Policy
    from bandits.evaluation import RollingEvaluation


def check_times(read: "Mapping[str, FullInformationData | LoggedData]") -> None:
    """Refuse data without times, before anything is computed.

    Raises:
        ValueError: naming the data and the option that mends it.
    """
    for name, rows in read.items():
        if rows.times is None:
            raise ValueError(f"--rolling needs times, and {name} holds none: --column time=NAME names a table's column")


def rolling_of(
    policies: "Mapping[str, Policy]",
    rows: "FullInformationData | LoggedData",
    n_seeds: int,
    cost_weight: float | None,
) -> "RollingEvaluation":
    """Return the rolling evaluation of policies on rows with times, in fewer windows where there are few rows."""
    from bandits.evaluation import RollingSettings, evaluate_rolling
    from bandits.evaluation.rolling import LEAST_ROWS

    n_windows = max(2, min(RollingSettings().n_windows, len(rows) // LEAST_ROWS))
    settings = RollingSettings(n_windows=n_windows, n_first=max(1, n_windows // 5), cost_weight=cost_weight)
    return evaluate_rolling(policies, rows, range(n_seeds), settings=settings)


def write_rolling(result: "RollingEvaluation", folder: Path) -> None:
    """Write rolling.json and rolling.md, and rolling.png where matplotlib is installed."""
    result.save(folder / "rolling.json")
    write_file(folder / "rolling.md", f"{result.to_markdown()}\n{result.window_table().to_markdown()}")
    if importlib.util.find_spec("matplotlib") is not None:
        from bandits.evaluation.plots import plot_rolling

        plot_rolling(result, folder / "rolling.png")
