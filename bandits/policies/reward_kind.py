"""Which rewards a policy learns from."""

from __future__ import annotations

from typing import Literal

import numpy as np

from bandits.data.policy_data import PolicyData

RewardKind = Literal["any", "share", "binary"]
"""Any number; a number in [0, 1]; or 0 or 1."""

_RULES = {"share": "in [0, 1]", "binary": "0 or 1"}


def check_rewards(data: PolicyData, kind: RewardKind, policy: str) -> None:
    """Reject rewards that a policy cannot learn from.

    Args:
        data: checked rows.
        kind: what the policy takes.
        policy: its name, for the error.

    Raises:
        ValueError: naming the first such row.
    """
    if kind == "any":
        return
    feedback = data.feedback()
    rewards = feedback.rewards
    fine = (rewards == 0) | (rewards == 1) if kind == "binary" else (rewards >= 0) & (rewards <= 1)
    if not fine.all():
        place = int(np.argmin(fine))
        raise ValueError(
            f"{policy} must learn from rewards {_RULES[kind]}, row {feedback.rows[place]} has {rewards[place]:g}: "
            "change their scale, or take a policy for other rewards, such as LinTS"
        )
