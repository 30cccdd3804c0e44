"""The rows of a decision log as `LoggedData`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bandits.data.logged_data import LoggedData
from bandits.encoders.encoder import encoder_mismatch
from bandits.online.records import LoggedDecision


def logged_data(
    decisions: Sequence[LoggedDecision], rewards: Sequence[float], *, with_distributions: bool = True
) -> LoggedData:
    """Return decisions and their rewards, one a row, in the order given.

    Args:
        decisions: n >= 1, of one encoder.
        rewards: n.
        with_distributions: also keep what each arm was drawn from, which warns where nothing was drawn at random.

    Raises:
        ValueError: if the contexts come from two encoders.
    """
    first = decisions[0]
    for one in decisions:
        if (one.policy.encoder, one.context.size) != (first.policy.encoder, first.context.size):
            raise encoder_mismatch(_marked(first), first.policy.encoder, _marked(one), one.policy.encoder)
    arm_names = tuple(dict.fromkeys(name for one in decisions for name in one.decision.probabilities))
    column = {name: i for i, name in enumerate(arm_names)}
    probabilities = np.zeros((len(decisions), len(arm_names)))
    available = np.zeros(probabilities.shape, np.bool_)
    for row, one in enumerate(decisions):
        names = one.decision.probabilities
        probabilities[row, [column[name] for name in names]] = list(names.values())
        available[row, [column[name] for name in (names if one.available is None else one.available)]] = True
    return LoggedData(
        contexts=np.stack([one.context for one in decisions]),
        actions=np.array([column[one.decision.arm] for one in decisions]),
        rewards=np.array(rewards, dtype=np.float64),
        propensities=np.array([one.decision.propensity for one in decisions]),
        arm_names=arm_names,
        available=None if available.all() else available,
        action_probabilities=probabilities if with_distributions else None,
        times=np.array([one.time for one in decisions]),
        query_ids=tuple(one.query_id for one in decisions),
        domains=tuple(one.domain for one in decisions) if any(one.domain for one in decisions) else None,
        encoder=first.policy.encoder,
    )


def _marked(decision: LoggedDecision) -> str:
    return f"decision {decision.number} ({decision.context.size} features)"
