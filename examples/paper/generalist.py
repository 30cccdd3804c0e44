"""A generalist draft against specialists and the best choice among them, which such papers leave out."""

import json
from collections.abc import Sequence
from pathlib import Path

from paper_parts.running import RESULTS, Found, Options, run
from paper_parts.stored import Stored

from bandits import Estimate
from bandits.evaluation.canvas import interval_bars

HEADS = RESULTS / "domain_heads.json"
GENERALIST = "generalist"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("generalist", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare heads of Qwen2.5-Coder 1.5B that `bench_domain_heads.py` measured: each domain's best and the generalist.

    A choice by domain can do no better than to take the best head of each, which is known here from the same texts.
    """
    matrix = json.loads(HEADS.read_text(encoding="utf-8"))["matrix"]
    rows: list[dict[str, object]] = []
    shown: dict[str, Estimate | float] = {}
    for domain, own in matrix[GENERALIST].items():
        heads = {name: row[domain] for name, row in matrix.items() if name != GENERALIST}
        best = max(heads, key=lambda name: heads[name]["value"])
        pair = {"best specialist": _match(heads[best]), GENERALIST: _match(own)}
        names = {"domain": domain, "best specialist is": best}
        rounds = {"its tokens a round": heads[best]["tokens_per_round"], "generalist's": own["tokens_per_round"]}
        rows.append({**names, **{f"match rate, {name}": value for name, value in pair.items()}, **rounds})
        shown |= {f"{name}, {domain}": value for name, value in pair.items()}
    won = sum(float(str(row["generalist's"])) >= float(str(row["its tokens a round"])) for row in rows)
    texts = {domain: row["n_texts"] for domain, row in matrix[GENERALIST].items()}
    ours, theirs = (
        sum(float(str(row[column])) * texts[row["domain"]] for row in rows) / sum(texts.values())
        for column in ("generalist's", "its tokens a round")
    )
    answer = (
        f"On Qwen2.5-Coder 1.5B a head that learned from all domains gives {ours:.2f} new tokens a round, the best "
        f"specialist of each prompt's domain {theirs:.2f}; the generalist is at least as good in {won} of {len(rows)} "
        "domains, so that no choice by domain among these specialists pays."
    )
    return Found(rows, answer, lambda path: _plot(shown, path))


def _match(figures: dict[str, float]) -> Estimate:
    return Estimate(figures["value"], figures["low"], figures["high"])


def _plot(shown: dict[str, Estimate | float], path: Path) -> None:
    interval_bars(
        path,
        shown,
        title="A generalist head against the best specialist",
        x_label="share of the target's tokens that it would draft",
    )


if __name__ == "__main__":
    main()
