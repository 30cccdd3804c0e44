"""What a decision log holds: decisions, and the rewards that came for them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from bandits.checks import Float32
from bandits.data.decision import Decision
from bandits.online.segments import Position, Record


@dataclass(frozen=True, slots=True)
class PolicyVersion:
    """Which policy chose.

    Attributes:
        name: of its class.
        version: tells one state of it from another, such as the number of decisions it had learned from.
        encoder: name of the encoder of its contexts.
    """

    name: str
    version: str
    encoder: str | None


@dataclass(frozen=True, slots=True, eq=False)
class LoggedDecision:
    """One choice as it was written before it was served.

    Attributes:
        number: counts the log's decisions, from 0.
        time: seconds since 1970 in UTC.
        query_id: the query it was made for.
        context: (d,) float32.
        decision: arm, propensity and the distribution drawn from.
        available: the arms that could be chosen; None for all.
        policy: who chose.
        domain: what kind of query it was, where that is known; policies never see it.
    """

    number: int
    time: float
    query_id: str
    context: Float32
    decision: Decision
    available: tuple[str, ...] | None
    policy: PolicyVersion
    domain: str | None = None

    def to_record(self) -> Record:
        """Return the decision as JSON values."""
        return {
            "kind": "decided",
            "number": self.number,
            "time": self.time,
            "query": self.query_id,
            "domain": self.domain,
            "arm": self.decision.arm,
            "propensity": self.decision.propensity,
            "probabilities": dict(self.decision.probabilities),
            "proposed": None if self.decision.proposed is None else dict(self.decision.proposed),
            "available": None if self.available is None else list(self.available),
            "policy": self.policy.name,
            "version": self.policy.version,
            "encoder": self.policy.encoder,
            "context": base64.b64encode(self.context.astype("<f4").tobytes()).decode("ascii"),
        }

    @classmethod
    def from_record(cls, record: Record) -> LoggedDecision:
        """Rebuild what `to_record` gave."""
        row = cast("dict[str, Any]", record)  # its checksum vouches for the types
        probabilities, available = row["probabilities"], row["available"]
        action = list(probabilities).index(row["arm"])
        return cls(
            number=row["number"],
            time=row["time"],
            query_id=row["query"],
            context=np.frombuffer(base64.b64decode(row["context"]), "<f4").astype(np.float32, copy=False),
            decision=Decision(row["arm"], action, row["propensity"], probabilities, row.get("proposed")),
            available=None if available is None else tuple(available),
            policy=PolicyVersion(row["policy"], row["version"], row["encoder"]),
            domain=row.get("domain"),
        )


@dataclass(frozen=True, slots=True)
class LoggedReward:
    """The reward of one decision.

    Attributes:
        number: of the decision.
        time: seconds since 1970 in UTC.
        query_id: the query of the decision.
        reward: finite.
        decided_at: where the decision stands in the log.
        observation: the facts that were valued, as `Observation.to_dict` gives them; None where there were none.
    """

    number: int
    time: float
    query_id: str
    reward: float
    decided_at: Position
    observation: Mapping[str, object] | None

    @property
    def is_of_failed_pull(self) -> bool:
        """Whether the facts say that the pull failed."""
        return self.observation is not None and self.observation.get("failure") is not None

    def to_record(self) -> Record:
        """Return the reward as JSON values."""
        return {
            "kind": "rewarded",
            "number": self.number,
            "time": self.time,
            "query": self.query_id,
            "reward": self.reward,
            "at": [self.decided_at.segment, self.decided_at.offset],
            "observation": self.observation,
        }

    @classmethod
    def from_record(cls, record: Record) -> LoggedReward:
        """Rebuild what `to_record` gave."""
        row = cast("dict[str, Any]", record)
        return cls(
            number=row["number"],
            time=row["time"],
            query_id=row["query"],
            reward=row["reward"],
            decided_at=Position(*row["at"]),
            observation=row["observation"],
        )
