"""What labels cost: a draft's own text, as the paper labels, against replay of the target's text."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.timed import TimedLabel

from bandits import Bootstrap, Estimate
from bandits.checks import Float64
from bandits.evaluation.canvas import interval_bars

BAR = 0.1


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("label_price", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare the seconds of both kinds of label on the same queries, measured in turn or else while collecting."""
    measured = stored.label_seconds or _while_collecting(stored)
    if not measured:
        raise ValueError("label_price needs the seconds of both kinds of label: make_traces.py --labels measures them")
    arms = {stored.plan(arm).drafts[0][0]: arm for arm in stored.target.writers}
    rows: list[dict[str, object]] = []
    wholes: list[dict[str, object]] = []
    for n_tokens in sorted({row.new_tokens for row in measured}):
        of_length = [row for row in measured if row.new_tokens == n_tokens]
        seconds = {draft: _seconds(of_length, draft) for draft in dict.fromkeys(row.draft for row in of_length)}
        rows += [_row(arms.get(draft, draft), n_tokens, both) for draft, both in seconds.items()]
        wholes.append(_row("all", n_tokens, np.sum(list(seconds.values()), axis=0)))
        rows += wholes[-1:] if len(seconds) > 1 else []
    shares = {f"{row['arm']}, {row['new tokens']} tokens": row["replay over own text"] for row in rows}
    told = " and ".join(f"{row['replay over own text']:.3f} with {row['new tokens']} new tokens" for row in wholes)
    is_met = all(row["replay over own text"].high <= BAR for row in wholes)  # type: ignore[attr-defined]
    how = "" if stored.label_seconds else ", both timed while collecting"
    answer = (
        f"Of the seconds of a label by the draft's own text, one by replay takes {told}{how}. "
        f"The aim of at most a tenth is {'met' if is_met else 'missed'}."
    )
    return Found(rows, answer, lambda path: _plot(shares, path))  # type: ignore[arg-type]


def _seconds(rows: Sequence[TimedLabel], draft: str) -> Float64:
    """Return what a draft's labels took, (2, queries): own texts and replay, the queries in order."""
    own = {row.query_id: (row.own_s, row.replay_s) for row in rows if row.draft == draft}
    return np.array([own[query] for query in sorted(own)], dtype=np.float64).T


def _row(arm: str, n_tokens: int, seconds: Float64) -> dict[str, object]:
    own, replayed = seconds
    return {
        "arm": arm,
        "new tokens": n_tokens,
        "queries": len(own),
        "own text s": own.mean(),
        "replay s": replayed.mean(),
        "replay over own text": Bootstrap().ratio_of_sums(replayed, own),
    }


def _while_collecting(stored: Stored) -> list[TimedLabel]:
    """Return what was timed while traces and own texts were collected, for a target not measured side by side.

    A draft that was not timed at all is left out, and a query that was not timed with all the others.
    """
    texts = {query: row for side in ("train", "test") for query, row in stored.sides[side].texts.items()}
    names = dict.fromkeys(
        name.removeprefix("own_s ") for row in texts.values() for name in row if name.startswith("own_s ")
    )
    timed = [name for name in names if any(row.get(f"own_s {name}") is not None for row in texts.values())]
    length = max(trace.max_new_tokens for trace in stored.sides["test"].traces)
    return [
        TimedLabel.model_validate(
            {
                "query_id": query,
                "draft": name,
                "new_tokens": length,
                "own_s": row[f"own_s {name}"],
                "replay_s": row[f"trace_s {name}"],
            }
        )
        for query, row in texts.items()
        if all(row.get(f"{which} {name}") is not None for which in ("own_s", "trace_s") for name in timed)
        for name in timed
    ]


def _plot(shown: Mapping[str, Estimate | float], path: Path) -> None:
    title = "Seconds of a label by replay, over those of the draft's own text"
    interval_bars(path, dict(shown), title=title, x_label="share; a tenth is the aim", line=BAR)


if __name__ == "__main__":
    main()
