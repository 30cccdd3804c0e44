"""Which label ranks drafts right: rank correlation of each reward with speed, and the time lost by learning from it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paper_parts.labels import DraftSpeed, all_labels, labelled_sides, learned_from
from paper_parts.measured import measured_seconds
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from scipy.stats import rankdata

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from bandits.evaluation.canvas import interval_bars


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("labels", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Rank the arms of each query by every label, and learn from each."""
    train, test = labelled_sides(stored, stored.target.main)
    clock = measured_seconds(stored, test)
    rows = []
    for name, reward in all_labels(train, DraftSpeed.of(stored, stored.target.main)).items():
        held_out = test.with_reward(reward)
        row: dict[str, object] = {"label": name}
        row["rank correlation"] = _mean(rank_correlation(held_out.rewards, -test.costs))
        if clock is not None:
            timed, seconds = clock
            row["with measured seconds"] = _mean(rank_correlation(held_out.rewards[timed], -seconds))
        rows.append(row | learned_from(train.with_reward(reward), held_out, options.seeds).speeds)
    rows.sort(key=lambda row: -row["rank correlation"].value)  # type: ignore[attr-defined]
    best = rows[0]
    paper = next(row for row in rows if row["label"] == "paper's, weight 0.5")
    text = next(row for row in rows if row["label"] == "rouge_l")
    answer = (
        f"{best['label']} ranks best ({best['rank correlation']:.2f}); text agreement alone correlates "
        f"{text['rank correlation']:.2f} with speed, the paper's reward at weight 0.5 {paper['rank correlation']:.2f}. "
        f"A REINFORCE that learns from them is {best['REINFORCE']:.2f}, {text['REINFORCE']:.2f} and "
        f"{paper['REINFORCE']:.2f} times as fast as no draft."
    )
    return Found(rows, answer, lambda path: _plot(rows, path))


def rank_correlation(labels: Float64, speed: Float64) -> Float64:
    """Return Spearman's rank correlation over the arms (n,) of each query; 0 where a label says nothing.

    Args:
        labels: (n, k).
        speed: (n, k), larger is faster.
    """
    ranks = [rankdata(values, axis=1) for values in (labels, speed)]
    own, other = (values - values.mean(axis=1, keepdims=True) for values in ranks)
    scale = np.sqrt((own**2).sum(axis=1) * (other**2).sum(axis=1))
    product = (own * other).sum(axis=1)
    found: Float64 = np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)
    return found


def _mean(values: Float64) -> Estimate:
    sums = Bootstrap().sums(values[:, None])
    return Bootstrap().estimate(sums[:, 0] / len(values), len(values)).within(-1.0, 1.0)


def _plot(rows: Sequence[dict[str, object]], path: Path) -> None:
    shown = {str(row["label"]): row["rank correlation"] for row in rows}
    title = "Which label ranks a query's arms as their seconds do"
    interval_bars(path, shown, title=title, x_label="mean rank correlation with speed over queries")  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
