"""The rewards that the command line knows by name."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bandits import FullInformationData
    from rewards import RelativeSpeed, Reward

REWARD_HELP = (
    "speedup (over no draft), time_saved (share of no draft's time), "
    "acceptance_length, relative_speed (to the fastest answer in the training data), "
    "rouge_l (the draft's own text against the target's), or paper(ALPHA) = ALPHA * rouge_l + (1 - ALPHA) * "
    "relative_speed."
)


def make_reward(
    formula: str, training: "FullInformationData | None", missing_alignment: float | None = None
) -> "Reward":
    """Build a reward from its name.

    Args:
        formula: see `REWARD_HELP`.
        training: where the fastest answer is looked for; None where there are no training data.
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


def _relative_speed(formula: str, training: "FullInformationData | None") -> "RelativeSpeed":
    from rewards import RelativeSpeed

    if training is None:
        raise ValueError(
            f"reward {formula!r} measures speed against the fastest answer in the training data; "
            "give them with --train-data"
        )
    if training.observations is None:
        raise ValueError(f"reward {formula!r} needs the stored observations, and the training data hold none")
    return RelativeSpeed.fitted(
        observation for row in training.observations for observation in row if observation is not None
    )
