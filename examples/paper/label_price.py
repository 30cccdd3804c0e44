"""What labels cost: a draft's own text, as the paper labels, against replay of the target's text."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored

from bandits import Bootstrap, Estimate
from bandits.evaluation.canvas import interval_bars

BAR = 0.1


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("label_price", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare the seconds of both kinds of label, measured one after the other on the same queries."""
    texts = [row for side in ("train", "test") for row in stored.sides[side].texts.values()]
    drafts = [name.removeprefix("own ") for name in texts[0] if name.startswith("own ")]
    texts = [row for row in texts if all(row.get(f"own_s {draft}") is not None for draft in drafts)]
    rows: list[dict[str, object]] = []
    totals = np.zeros((2, len(texts)))
    for draft in drafts:
        own, traced = (np.array([float(str(row[f"{what} {draft}"])) for row in texts]) for what in ("own_s", "trace_s"))
        totals += np.stack([own, traced])
        share = Bootstrap().ratio_of_sums(traced, own)
        rows.append(
            {"draft": draft, "own text s": own.mean(), "replay s": traced.mean(), "replay over own text": share}
        )
    whole = Bootstrap().ratio_of_sums(totals[1], totals[0])
    rows.append(
        {"draft": "all", "own text s": totals[0].mean(), "replay s": totals[1].mean(), "replay over own text": whole}
    )
    answer = (
        f"A label by replay takes {whole:.3f} of the seconds of one by the draft's own text, "
        f"{1e3 * totals[1].mean() / len(drafts):.0f} against {1e3 * totals[0].mean() / len(drafts):.0f} ms a query and "
        f"draft. The aim of at most a tenth is {'met' if whole.high <= BAR else 'missed'}."
    )
    shown: dict[str, Estimate | float] = {str(row["draft"]): row["replay over own text"] for row in rows}  # type: ignore[misc]
    return Found(rows, answer, lambda path: _plot(shown, path))


def _plot(shown: dict[str, Estimate | float], path: Path) -> None:
    title = "Seconds of a label by replay, over those of the draft's own text"
    interval_bars(path, shown, title=title, x_label="share; a tenth is the aim", line=BAR)


if __name__ == "__main__":
    main()
