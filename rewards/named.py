"""The rewards that the command line knows by name."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from arms import Observation

if TYPE_CHECKING:
    from rewards import RelativeSpeed, Reward

REWARD_HELP = (
    "speedup (over no draft), time_saved (share of no draft's time), "
    "acceptance_length, relative_speed (to the fastest answer in the training data), "
    "rouge_l (the draft's own text against the target's), or paper(ALPHA) = ALPHA * rouge_l + (1 - ALPHA) * "
    "relative_speed."
)


def make_reward(
    formula: str, training: "Iterable[Observation] | None", missing_alignment: float | None = None
) -> "Reward":
    """Build a reward from its name.

    Args:
        formula: see `REWARD_HELP`.
        training: observations among which the fastest answer is looked for; None where there are no training data.
        missing_alignment: stands in for the alignment of an arm without a text of its own; None refuses it.

    Raises:
        ValueError: if the name is unknown, alpha is outside [0, 1], or training data are needed and missing.
    """
    from rewards import AcceptanceLength, RougeL, Speedup, TimeSaved

    table: dict[str, Callable[[], Reward]] = {
        "speedup": Speedup,
        "time_saved": TimeSaved,
        "acceptance_length": AcceptanceLength,
        "relative_speed": lambda: _relative_speed(formula, training),
        "rouge_l": lambda: RougeL(missing_alignment),
    }
    if formula in table:
        return table[formula]()
    paper = re.fullmatch(r"paper\((\d+\.?\d*|\.\d+)\)", formula)
    if paper is None:
        raise ValueError(f"--reward must be one of {', '.join(table)}, paper(ALPHA), got {formula!r}")
    alpha = float(paper[1])
    if alpha > 1:
        raise ValueError(f"--reward paper(ALPHA) needs ALPHA in [0, 1], got {formula!r}")
    return alpha * RougeL(missing_alignment) + (1 - alpha) * _relative_speed(formula, training)


def _relative_speed(formula: str, training: "Iterable[Observation] | None") -> "RelativeSpeed":
    from rewards import RelativeSpeed

    if training is None:
        raise ValueError(
            f"reward {formula!r} measures speed against the fastest answer in the training data; "
            "give them with --train-data"
        )
    return RelativeSpeed.fitted(training)
