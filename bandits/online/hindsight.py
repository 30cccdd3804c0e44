"""What arms that were not chosen would have been worth, where that can be told: full information in a decision log."""

from __future__ import annotations

import base64
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from bandits.checks import Float32
from bandits.data.full_information_data import FullInformationData
from bandits.encoders.encoder import encoder_mismatch
from bandits.online.records import LoggedDecision
from bandits.online.segments import Record

HINDSIGHT = "hindsight"
"""The kind of the record."""


@dataclass(frozen=True, slots=True, eq=False)
class Hindsight:
    """Rewards of arms on one query, each told as if it had been chosen, the chosen one among them or not.

    Attributes:
        query_id: the query.
        context: (d,) float32, of its decision.
        encoder: what made the context; None where it is not known.
        rewards: by arm.
    """

    query_id: str
    context: Float32
    encoder: str | None
    rewards: Mapping[str, float]

    @classmethod
    def of(cls, decision: LoggedDecision, rewards: Mapping[str, float]) -> Hindsight:
        """Return the hindsight of a decision."""
        return cls(decision.query_id, decision.context, decision.policy.encoder, rewards)

    def of_arms(self, names: Container[str]) -> Hindsight:
        """Return what it tells of these arms alone."""
        return replace(self, rewards={name: reward for name, reward in self.rewards.items() if name in names})

    def to_record(self) -> Record:
        """Return it as JSON values, for `DecisionLog.noted(HINDSIGHT, ...)`."""
        context = base64.b64encode(self.context.astype("<f4").tobytes()).decode("ascii")
        return {"query": self.query_id, "encoder": self.encoder, "context": context, "rewards": dict(self.rewards)}

    @classmethod
    def from_record(cls, record: Record) -> Hindsight:
        """Rebuild what `to_record` gave."""
        row = cast("dict[str, Any]", record)  # its checksum vouches for the types
        context = np.frombuffer(base64.b64decode(row["context"]), "<f4").astype(np.float32, copy=False)
        return cls(row["query"], context, row["encoder"], row["rewards"])


def full_information(hindsights: Sequence[Hindsight], arm_names: Sequence[str]) -> FullInformationData:
    """Return them as rows of full information, in which the arms that nothing was told of are not observed.

    Args:
        hindsights: at least one, of one encoder, each with an arm of `arm_names`.
        arm_names: of the data; rewards of other arms are left out.

    Raises:
        ValueError: if the contexts come from two encoders.
    """
    first = hindsights[0]
    for one in hindsights:
        if (one.encoder, one.context.size) != (first.encoder, first.context.size):
            raise encoder_mismatch(_marked(first), first.encoder, _marked(one), one.encoder)
    rewards = np.array([[one.rewards.get(name, np.nan) for name in arm_names] for one in hindsights])
    observed = np.isfinite(rewards)
    return FullInformationData(
        contexts=np.stack([one.context for one in hindsights]),
        rewards=np.where(observed, rewards, 0.0),
        arm_names=tuple(arm_names),
        observed=observed,
        query_ids=tuple(one.query_id for one in hindsights),
        encoder=first.encoder,
    )


def _marked(hindsight: Hindsight) -> str:
    return f"query {hindsight.query_id!r} ({hindsight.context.size} features)"
