"""The last decisions of a log with what came of them, read when somebody asks."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from bandits.online import LoggedDecision
from bandits.online.segments import Position, Record, near_end, read_records

_FIRST_BYTES = 4 << 20  # read at once: more would be felt by the requests that are being answered


@dataclass(frozen=True, slots=True)
class ServedDecision:
    """A decision and its end so far.

    Attributes:
        decision: as it was logged.
        reward: None while there is none.
        seconds: of the answer.
        n_tokens: of the answer.
        end: "open", "rewarded", or why it was dropped or failed.
    """

    decision: LoggedDecision
    reward: float | None
    seconds: float | None
    n_tokens: int
    end: str


@dataclass(frozen=True, slots=True)
class StageChange:
    """A stage that was entered: when, which, and why."""

    time: float
    stage: str
    reason: str


class ServedTail:
    """Reads a log from near its end on, each record once.

    Args:
        folder: of the log; another thread may write it.
        most: decisions that are kept.
    """

    def __init__(self, folder: Path, most: int = 2000) -> None:
        self._folder, self._most = folder, most
        self._lock = threading.Lock()
        self._position: Position | None = None
        self._decided: dict[int, Record] = {}
        self._read: dict[int, LoggedDecision] = {}  # those kept, taken apart once
        self._ends: dict[int, Record] = {}
        self._changes: deque[StageChange] = deque(maxlen=6)

    def read(self) -> tuple[list[ServedDecision], list[StageChange]]:
        """Return the last decisions and changes of stage that the log holds now, oldest first."""
        with self._lock:
            if self._position is None:
                self._position = near_end(self._folder, _FIRST_BYTES)
            for placed in read_records(self._folder, self._position):
                self._position = placed.end
                self._take(cast("dict[str, Any]", placed.record))
            self._read = {
                number: self._read.get(number) or LoggedDecision.from_record(record)
                for number, record in self._decided.items()
            }
            served = [_served(decision, self._ends.get(number)) for number, decision in self._read.items()]
            return served, list(self._changes)

    def _take(self, record: dict[str, Any]) -> None:
        match record["kind"]:
            case "decided":
                self._decided[record["number"]] = record
                if len(self._decided) > self._most:
                    oldest = next(iter(self._decided))
                    del self._decided[oldest]
                    self._ends.pop(oldest, None)
            case "rewarded" | "dropped" if record["number"] in self._decided:
                self._ends[record["number"]] = record
            case "stage":
                self._changes.append(StageChange(record["time"], record["stage"], record["reason"]))


def _served(decision: LoggedDecision, end: Record | None) -> ServedDecision:
    if end is None:
        return ServedDecision(decision, None, None, 0, "open")
    row = cast("dict[str, Any]", end)
    if row["kind"] == "dropped":
        return ServedDecision(decision, None, None, 0, row["reason"])
    facts: Mapping[str, Any] = row["observation"] or {}
    failure = facts.get("failure")
    n_tokens = facts.get("n_tokens") or 0
    return ServedDecision(decision, row["reward"], facts.get("seconds"), n_tokens, failure or "rewarded")
