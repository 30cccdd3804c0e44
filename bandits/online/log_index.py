"""What a decision log must know to go on writing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bandits.online.segments import Position

_REMEMBERED = 10_000  # closed queries that a second reward is told apart for from an unknown query


@dataclass
class LogIndex:
    """What must be known to go on writing: the next number, and where the decisions without a reward stand."""

    next_number: int = 0
    open: dict[str, tuple[int, Position]] = field(default_factory=dict)
    closed: dict[str, float | None] = field(default_factory=dict)

    def decided(self, query_id: str, number: int, position: Position) -> None:
        """Follow a decision."""
        self.open[query_id] = (number, position)
        self.closed.pop(query_id, None)
        self.next_number = max(self.next_number, number + 1)

    def ended(self, query_id: str, reward: float | None) -> None:
        """Follow the end of a decision; None where it has no reward."""
        self.open.pop(query_id, None)
        self.closed[query_id] = reward
        if len(self.closed) > _REMEMBERED:
            del self.closed[next(iter(self.closed))]

    def header(self) -> dict[str, object]:
        """Return what a new segment begins with."""
        places = {name: [number, at.segment, at.offset] for name, (number, at) in self.open.items()}
        return {"next_number": self.next_number, "open": places}

    def take(self, record: dict[str, Any], position: Position) -> None:
        """Follow one record of a log that is being opened."""
        if record["kind"] == "segment":
            self.next_number = record["next_number"]
            self.open = {name: (number, Position(*at)) for name, (number, *at) in record["open"].items()}
        elif record["kind"] == "decided":
            self.decided(record["query"], record["number"], position)
        elif record["kind"] in ("rewarded", "dropped"):
            self.ended(record["query"], record.get("reward"))
