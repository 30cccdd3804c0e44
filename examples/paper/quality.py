"""Quality: BLEU and ROUGE-L of what each arm writes, in real runs, and how many texts are the target's own."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.measured import measured_seconds
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT
from paper_parts.text_quality import text_quality

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from bandits.evaluation.canvas import interval_bars


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("quality", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare the texts of wall-clock runs with the target's traced text, and their seconds with replay's.

    The traced text, which the target wrote without a draft in batches, is the reference of BLEU and ROUGE-L.
    """
    texts = {query: str(row["text"]) for query, row in stored.sides["test"].texts.items()}
    runs = stored.runs
    if not runs:
        raise ValueError("quality needs wall-clock runs: make_traces.py --clock measures them")
    arms = [arm for arm in stored.plans if any(run.arm == arm for run in runs)]
    data = stored.data("test", arms)
    timed = measured_seconds(stored, data)
    if timed is None:
        raise ValueError("quality needs queries that were timed with every arm: make_traces.py --clock measures them")
    errors = np.abs(data.costs[timed[0]] / timed[1] - 1)
    rows = []
    for k, arm in enumerate(arms):
        own = {run.query_id: run.text for run in runs if run.arm == arm}
        rows.append(
            {
                "arm": arm,
                **text_quality(own, texts),
                "equal texts": sum(text == texts[query] for query, text in own.items()),
                "median error of replayed seconds": median_error(errors[:, [k]]),
            }
        )
    plain = next(row for row in rows if row["arm"] == NO_DRAFT)
    same = all(row["BLEU"] == plain["BLEU"] and row["ROUGE-L"] == plain["ROUGE-L"] for row in rows)
    equal = sum(int(str(row["equal texts"])) for row in rows)
    answer = (
        f"BLEU and ROUGE-L are {'equal' if same else 'not equal'} across all {len(arms)} arms, and {equal} of "
        f"{sum(int(str(row['texts'])) for row in rows)} texts are the target's own, letter by letter: choosing a draft "
        f"changes time, not quality. Replayed seconds differ from measured ones by {median_error(errors):.1%} (median "
        f"over {len(errors)} queries with every arm)."
    )
    return Found(rows, answer, lambda path: _plot({str(row["arm"]): row["ROUGE-L"] for row in rows}, path))  # type: ignore[misc]


def median_error(errors: Float64) -> Estimate:
    """Return the median of (n, k) errors, with its interval over the n queries."""
    bootstrap = Bootstrap()
    medians = np.median(errors[bootstrap.draws(len(errors))], axis=(1, 2))
    return bootstrap.estimate(np.append(np.median(errors), medians), len(errors)).within(0.0, np.inf)


def _plot(shown: Mapping[str, Estimate | float], path: Path) -> None:
    interval_bars(path, shown, title="ROUGE-L of each arm's texts with the target's own", x_label="mean over queries")


if __name__ == "__main__":
    main()
