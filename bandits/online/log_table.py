"""The rows of a decision log as `LoggedData`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from bandits.data.logged_data import DeterministicLogWarning, LoggedData
from bandits.encoders.encoder import encoder_mismatch
from bandits.online.records import LoggedDecision
from bandits.online.segments import read_records


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


def log_batches(folder: Path, batch_rows: int) -> Iterator[LoggedData]:
    """Yield the rewarded decisions of a log, so many at a time, in the order in which they were made.

    Args:
        folder: of the log.
        batch_rows: rows of each batch but the last, >= 1.

    Raises:
        ValueError: if the log is damaged, or a batch has contexts of two encoders.
    """
    rewards: dict[int, float] = {}
    for placed in read_records(folder):
        if placed.record["kind"] == "rewarded":
            rewards[cast("int", placed.record["number"])] = cast("float", placed.record["reward"])
    batch: list[LoggedDecision] = []
    for placed in read_records(folder):
        if placed.record["kind"] == "decided" and placed.record["number"] in rewards:
            batch.append(LoggedDecision.from_record(placed.record))
            if len(batch) == batch_rows:
                yield _batch(batch, rewards)
                batch = []
    if batch:
        yield _batch(batch, rewards)


def _batch(decisions: Sequence[LoggedDecision], rewards: Mapping[int, float]) -> LoggedData:
    with warnings.catch_warnings():  # that a few rows were not drawn at random says nothing of the log
        warnings.simplefilter("ignore", DeterministicLogWarning)
        return logged_data(decisions, [rewards[one.number] for one in decisions])


def _marked(decision: LoggedDecision) -> str:
    return f"decision {decision.number} ({decision.context.size} features)"
