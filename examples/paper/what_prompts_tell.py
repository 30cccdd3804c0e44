"""What a prompt can tell: best fixed arm, domain oracle, per-query oracle and per-round clairvoyant, side by side."""

from collections.abc import Sequence

import numpy as np
from paper_parts.choosing import DOMAIN, FIXED, ORACLE, Asked, choices_of, times_as_fast
from paper_parts.comparison import best_learned
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT

from bandits import Estimate
from bandits.evaluation.canvas import interval_bars
from speculative.rounds import clairvoyant_s

CLAIRVOYANT = "clairvoyant per round"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("what_prompts_tell", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Compare hindsight of every kind, on each machine."""
    rows: list[dict[str, object]] = []
    drawn: dict[str, Estimate] = {}
    told = []
    for profile, costs in stored.profiles.items():
        choices = choices_of(stored, Asked(stored.target.full, profile=profile), options.seeds)
        plans = [stored.plan(arm) for arm in stored.target.full]
        rounds = [clairvoyant_s(plans, trace, costs) for trace in stored.sides["test"].traces]
        seconds = {**choices.seconds, CLAIRVOYANT: np.array([rounds])}
        best = best_learned(choices)
        names = {FIXED: FIXED, best: f"best policy ({best})", DOMAIN: DOMAIN, ORACLE: ORACLE, CLAIRVOYANT: CLAIRVOYANT}
        values = {shown: times_as_fast(seconds[name], seconds[FIXED]) for name, shown in names.items()}
        rows += [
            {
                "profile": profile,
                "name": shown,
                f"times {FIXED}": value,
                f"times {NO_DRAFT}": times_as_fast(seconds[name], seconds[NO_DRAFT]),
            }
            for (name, shown), value in zip(names.items(), values.values(), strict=True)
        ]
        told.append(
            f"{profile}: domain {values[DOMAIN]:.2f}, query {values[ORACLE]:.2f}, round {values[CLAIRVOYANT]:.2f}"
        )
        drawn |= {f"{name}, {profile}": seconds_ for name, seconds_ in values.items() if name != FIXED}
    answer = f"Times the best fixed arm: {'; '.join(told)}."
    title = "What knowing the domain, the query or the round gains"
    return Found(
        rows, answer, lambda path: interval_bars(path, drawn, title=title, x_label="times the best fixed arm", line=1.0)
    )


if __name__ == "__main__":
    main()
