"""Whether the acceptance model's probabilities are right on texts that it did not see."""

from pathlib import Path

import numpy as np

from rounds_bench.setting import Setting
from speculative.rounds import SpeedSelector, accepted_counts, visits

DEPTHS = (1, 3)
N_BINS = 10


def calibration(setting: Setting, selector: SpeedSelector) -> list[dict[str, object]]:
    """Return, for each draft and depth, the mean prediction and the share observed in tenths of the predictions.

    The rounds are those that the selector comes by on held-out texts.
    """
    found, layout = visits(selector, setting.test, setting.costs), selector.layout
    counts = accepted_counts(found, layout)
    predicted = np.stack([selector.model.survival(visit.record, max(DEPTHS)) for visit in found])
    rows: list[dict[str, object]] = []
    for d, draft in enumerate(layout.drafts):
        for depth in DEPTHS:
            asked = counts.asked[draft] >= depth
            p, hit = predicted[asked, d, depth - 1], counts.accepted[draft][asked] >= depth
            if len(p) < N_BINS:
                continue
            bins = np.array_split(np.argsort(p, kind="stable"), N_BINS)
            rows.append(
                {
                    "draft": draft,
                    "depth": depth,
                    "n": len(p),
                    "predicted": [float(p[one].mean()) for one in bins],
                    "observed": [float(hit[one].mean()) for one in bins],
                    "error": float(sum(len(one) * abs(p[one].mean() - hit[one].mean()) for one in bins) / len(p)),
                }
            )
    return rows


def plot(rows: list[dict[str, object]], path: Path) -> None:
    """Draw predicted against observed shares, a line a draft and depth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.6", linewidth=1)
    for row in rows:
        style = "-" if row["depth"] == DEPTHS[0] else "--"
        axes.plot(row["predicted"], row["observed"], style, marker="o", markersize=3, label=_label(row))
    axes.set(xlabel="predicted probability", ylabel="share accepted", xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.legend(fontsize=8)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def _label(row: dict[str, object]) -> str:
    depth = row["depth"]
    return f"{row['draft']}: at least {depth} token{'s' if depth != 1 else ''}"
