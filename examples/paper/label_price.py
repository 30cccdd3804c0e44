"""What labels cost: a draft's own text, as the paper labels, against replay of the target's text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from bandits.evaluation.canvas import interval_bars

BAR = 0.1


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("label_price", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare the seconds of both kinds of label, measured in turn on the same queries."""
    measured = stored.label_seconds or _while_collecting(stored)
    rows: list[dict[str, object]] = []
    for n_tokens in sorted({int(str(row["new_tokens"])) for row in measured}):
        of_length = [row for row in measured if row["new_tokens"] == n_tokens]
        seconds = {draft: _seconds(of_length, draft) for draft in dict.fromkeys(str(row["draft"]) for row in of_length)}
        rows += [_row(draft, n_tokens, both) for draft, both in seconds.items()]
        rows.append(_row("all", n_tokens, np.sum(list(seconds.values()), axis=0)))
    wholes = [row for row in rows if row["draft"] == "all"]
    shares = {f"{row['draft']}, {row['new tokens']} tokens": row["replay over own text"] for row in rows}
    told = " and ".join(f"{row['replay over own text']:.3f} with {row['new tokens']} new tokens" for row in wholes)
    is_met = all(row["replay over own text"].high <= BAR for row in wholes)  # type: ignore[attr-defined]
    answer = (
        f"Of the seconds of a label by the draft's own text, one by replay takes {told}. "
        f"The aim of at most a tenth is {'met' if is_met else 'missed'}."
    )
    return Found(rows, answer, lambda path: _plot(shares, path))  # type: ignore[arg-type]


def _seconds(rows: Sequence[Mapping[str, object]], draft: str) -> Float64:
    """Return what a draft's labels took, (2, queries): own texts and replay, the queries in order."""
    own = {str(row["query_id"]): (row["own_s"], row["replay_s"]) for row in rows if row["draft"] == draft}
    return np.array([own[query] for query in sorted(own)], dtype=np.float64).T


def _row(draft: str, n_tokens: int, seconds: Float64) -> dict[str, object]:
    own, replayed = seconds
    return {
        "draft": draft,
        "new tokens": n_tokens,
        "queries": len(own),
        "own text s": own.mean(),
        "replay s": replayed.mean(),
        "replay over own text": Bootstrap().ratio_of_sums(replayed, own),
    }


def _while_collecting(stored: Stored) -> list[dict[str, object]]:
    """Return what was timed while traces and own texts were collected, for a target not measured side by side."""
    texts = [row for side in ("train", "test") for row in stored.sides[side].texts.values()]
    drafts = [name.removeprefix("own_s ") for name in texts[0] if name.startswith("own_s ")]
    length = max(trace.max_new_tokens for trace in stored.sides["test"].traces)
    return [
        {"query_id": i, "draft": draft, "new_tokens": length, "own_s": row[f"own_s {draft}"], "replay_s": traced}
        for i, row in enumerate(texts)
        for draft in drafts
        if all(row.get(f"own_s {one}") is not None for one in drafts)
        and (traced := row[f"trace_s {draft}"]) is not None
    ]


def _plot(shown: Mapping[str, Estimate | float], path: Path) -> None:
    title = "Seconds of a label by replay, over those of the draft's own text"
    interval_bars(path, dict(shown), title=title, x_label="share; a tenth is the aim", line=BAR)


if __name__ == "__main__":
    main()
