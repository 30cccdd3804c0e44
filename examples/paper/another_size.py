"""A third draft of another size: is a better aligned one worth its slower tokens?"""

from collections.abc import Sequence

import numpy as np
from paper_parts.choosing import FIXED, ORACLE, Asked
from paper_parts.comparison import bars, compared, gain
from paper_parts.running import Found, Options, run
from paper_parts.stored import Stored
from paper_parts.targets import NO_DRAFT


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Run it."""
    return run("another_size", experiment, arguments)


def experiment(stored: Stored, options: Options) -> Found:
    """Add larger drafts, the target's own first layers among them, to the two specialists."""
    small = stored.target.small
    arms = (*small, *(arm for arm in stored.target.others if arm != stored.target.generalist), *stored.target.exits)
    found = compared(stored, {"small drafts": Asked(small), "all": Asked(arms)}, options.seeds)
    every, costs, data = found["all"], stored.costs, stored.data("test", arms)
    rows: list[dict[str, object]] = []
    for k, arm in enumerate(arms):
        own = [row[k] for row in data.observations or () if row[k] is not None]
        proposed = sum(one.n_proposed for one in own)
        rows.append(
            {
                "arm": arm,
                "ms a draft token": 1e3 * costs.drafts[stored.plan(arm).drafts[0][0]].token_s if proposed else None,
                "accepted": sum(one.n_accepted for one in own) / proposed if proposed else None,
                f"times {NO_DRAFT}": every.over(arm, NO_DRAFT),
                "share of REINFORCE": float(every.picks["REINFORCE"][k]),
            }
        )
    aligned = max(rows[1:], key=lambda row: float(str(row["accepted"])))
    best = rows[int(np.argmin([every.seconds[arm].sum() for arm in arms]))]
    answer = (
        f"The best aligned draft, {aligned['arm']}, gets {aligned['accepted']:.0%} of its tokens accepted and is "
        f"{aligned[f'times {NO_DRAFT}']:.2f} times as fast as no draft; the fastest arm is {best['arm']}, "
        f"{best[f'times {NO_DRAFT}']:.2f} times. Among the small drafts, {gain(found['small drafts'])}; among all, "
        f"{gain(every)}."
    )
    shown = (*arms[1:], FIXED, "REINFORCE", ORACLE)
    return Found(rows, answer, bars({"": every}, shown, "Alignment against speed"))


if __name__ == "__main__":
    main()
