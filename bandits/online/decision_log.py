"""A log of decisions that a crash cannot tear: each is written before it is served, its reward joins it later."""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike

from arms import Observation, Query
from arms.folder_lock import FolderLock
from bandits import checks
from bandits.data.decision import Decision
from bandits.data.logged_data import LoggedData
from bandits.online.appender import Appender
from bandits.online.log_index import LogIndex
from bandits.online.log_table import log_batches, logged_data
from bandits.online.records import LoggedDecision, LoggedReward, PolicyVersion
from bandits.online.segments import (
    Position,
    Record,
    begin_segment,
    encode,
    read_record,
    read_records,
    records_at,
    segment_numbers,
    segment_path,
)


class TornRecordWarning(UserWarning):
    """A crash had cut off the last record of a log; it was removed."""


class DecisionLog:
    """An append-only folder of decisions with propensities, and of rewards that are joined by query.

        with DecisionLog("log") as log:
            agent = Agent(policy, encoder, log)

    A decision is on the disk when `decided` returns, a reward when `rewarded` returns. One process writes; any other
    may read with `DecisionLog.load` meanwhile. A query may be asked again once its decision has been rewarded or
    dropped.

    Args:
        folder: made if it is missing; a log that stands there is gone on with.
        sync_every: fsync after this many records; 1 loses nothing even if power fails, a larger number may lose the
            last ones then, 0 leaves it to the operating system. A killed process loses nothing in any case.
        segment_bytes: a file that has grown to this size is followed by a new one.

    Raises:
        RuntimeError: if another process, or another object of this one, writes there.
        ValueError: if the log is damaged.

    Warns:
        TornRecordWarning: if a crash had cut off the last record, which is removed.
    """

    def __init__(self, folder: str | Path, *, sync_every: int = 1, segment_bytes: int = 16 << 20) -> None:
        self.folder = Path(folder)
        self._sync_every = checks.at_least(sync_every, 0, "sync_every")
        self._segment_bytes = checks.at_least(segment_bytes, 1, "segment_bytes")
        self._lock = threading.Lock()
        self._closing: set[str] = set()
        self._folder_lock = FolderLock(self.folder, "decision log")
        try:
            self._index, self._segment = self._open()
        except BaseException:
            self._folder_lock.close()
            raise
        self._next_number = self._index.next_number
        self._file = Appender(segment_path(self.folder, self._segment), self._sync_every)

    def _open(self) -> tuple[LogIndex, int]:
        """Read the last segment, whose header tells what the older ones left open."""
        index, numbers = LogIndex(), segment_numbers(self.folder)
        if not numbers:
            begin_segment(self.folder, 0, index.header())
            return index, 0
        end = start = Position(numbers[-1], 0)
        for placed in read_records(self.folder, start):
            index.take(cast("dict[str, Any]", placed.record), placed.start)
            end = placed.end
        path = segment_path(self.folder, end.segment)
        if end == start:
            raise ValueError(f"{path} is damaged: it has no whole header; restore it from a copy")
        torn = path.stat().st_size - end.offset
        if torn:
            with path.open("r+b") as file:
                file.truncate(end.offset)
            message = f"{path}: the last record was cut off by a crash; its {torn} bytes were removed"
            warnings.warn(message, TornRecordWarning, stacklevel=3)
        return index, end.segment

    @property
    def n_decisions(self) -> int:
        """How many decisions have begun; the next one has this number."""
        return self._next_number

    @property
    def open_queries(self) -> tuple[str, ...]:
        """The queries whose decision has no reward yet, in the order of the decisions."""
        with self._lock:
            return tuple(self._index.open)

    def open_for(self, seconds: float) -> tuple[str, ...]:
        """Return the open queries whose decision was made so many seconds ago or earlier, the oldest first."""
        until, waiting = time.time() - seconds, []
        with self._lock:
            places = list(self._index.open.items())
        records = records_at(self.folder, [position for _, (_, position) in places])
        for (query_id, _), record in zip(places, records, strict=True):  # in the order of the decisions
            if LoggedDecision.from_record(record).time > until:
                break
            waiting.append(query_id)
        return tuple(waiting)

    def status(self, query_id: str) -> Literal["open", "closed"] | None:
        """Return whether a query's decision waits for its reward, or was closed lately; None for an unknown query."""
        with self._lock:
            return "open" if query_id in self._index.open else "closed" if query_id in self._index.closed else None

    def next_number(self) -> int:
        """Return the number of a decision that is about to be made."""
        with self._lock:
            self._next_number += 1
            return self._next_number - 1

    def decision(self, query_id: str) -> LoggedDecision:
        """Return the decision of an open query.

        Raises:
            ValueError: if it has none.
        """
        with self._lock:
            _, position = self._placed(query_id)
        return LoggedDecision.from_record(read_record(self.folder, position))

    def decided(
        self,
        number: int,
        query: Query | str,
        context: ArrayLike,
        decision: Decision,
        policy: PolicyVersion,
        available: tuple[str, ...] | None = None,
    ) -> None:
        """Write a decision down; once this returns it may be served.

        Args:
            number: what `next_number` gave.
            query: may have no other decision that waits for its reward; its id alone where there is no more of it.
            context: (d,) float32.
            decision: with the distribution it was drawn from.
            policy: who chose.
            available: the arms that could be chosen; None for all.

        Raises:
            ValueError: if the query has a decision that waits for its reward, or the context is not finite.
            OSError: if it cannot be written.
        """
        row = checks.vector(context, "context", np.float32, None)
        checks.finite(row, "context")
        query_id, domain = (query, None) if isinstance(query, str) else (query.id, query.domain)
        entry = LoggedDecision(number, time.time(), query_id, row, decision, available, policy, domain)
        line = encode(entry.to_record())
        with self._lock:
            if query_id in self._index.open:
                raise ValueError(
                    f"query {query_id!r} has a decision that waits for its reward: reward it before asking again, "
                    "and give each query an id of its own"
                )
            position, file, ticket = self._append(line)
            self._index.decided(query_id, number, position)
        file.settle(ticket)

    def rewarded(self, query_id: str, reward: float, observation: Observation | None = None) -> None:
        """Write down the reward of an open query's decision; the first one counts.

        Raises:
            ValueError: if the query is unknown or was rewarded before, or the reward is not finite.
            OSError: if it cannot be written.
        """
        checks.number(reward, f"the reward of query {query_id!r}")
        facts = None if observation is None else observation.to_dict()

        def record(number: int, position: Position) -> Record:
            return LoggedReward(number, time.time(), query_id, float(reward), position, facts).to_record()

        self._end(query_id, float(reward), record)

    def dropped(self, query_id: str, reason: str) -> None:
        """Close an open query's decision without a reward: nothing is learned from it.

        Args:
            query_id: whose decision waits for its reward.
            reason: why what came of it says nothing of the arm, such as a request that the arm rightly refused.

        Raises:
            ValueError: if the query is unknown or was closed before.
            OSError: if it cannot be written.
        """

        def record(number: int, _: Position) -> Record:
            return {"kind": "dropped", "number": number, "time": time.time(), "query": query_id, "reason": reason}

        self._end(query_id, None, record)

    def late(self, query_id: str, reward: float) -> None:
        """Keep a reward that came after its decision was closed; it is not learned from.

        Raises:
            ValueError: if the reward is not finite, or the query is not among those closed last.
            OSError: if it cannot be written.
        """
        checks.number(reward, f"the reward of query {query_id!r}")
        if self.status(query_id) != "closed":
            raise ValueError(f"no decision of query {query_id!r} was closed lately: mend the id")
        self.noted("late", {"query": query_id, "reward": float(reward)})

    def noted(self, kind: str, facts: Record) -> Position:
        """Write down something that is neither a decision nor its end, and return where it stands.

        Args:
            kind: of the record, such as "stage"; none of the log's own.
            facts: JSON values by names other than `kind`.

        Raises:
            ValueError: if the kind is one of the log's own or among the facts, or a fact is no JSON value.
            OSError: if it cannot be written.
        """
        if kind in ("segment", "decided", "rewarded", "dropped"):
            raise ValueError(f"kind must be none of the log's own records, got {kind!r}")
        if "kind" in facts:
            raise ValueError(f"facts must not hold a kind, which is the record's, got {facts['kind']!r}: rename it")
        line = encode({"kind": kind, "time": time.time(), **facts})
        with self._lock:
            position, file, ticket = self._append(line)
        file.settle(ticket)
        return position

    def _end(self, query_id: str, reward: float | None, record: Callable[[int, Position], Record]) -> None:
        with self._lock:
            number, position = self._placed(query_id)
            self._closing.add(query_id)
        try:
            line = encode(record(number, position))
            with self._lock:
                _, file, ticket = self._append(line)
                self._index.ended(query_id, reward)
        finally:
            with self._lock:
                self._closing.discard(query_id)
        file.settle(ticket)

    def _placed(self, query_id: str) -> tuple[int, Position]:
        if query_id in self._index.open and query_id not in self._closing:
            return self._index.open[query_id]
        if query_id in self._closing:
            raise ValueError(f"the decision of query {query_id!r} is just being rewarded: the first reward counts")
        if query_id in self._index.closed:
            reward = self._index.closed[query_id]
            how = "dropped before" if reward is None else f"rewarded before, with {reward}: the first counts"
            raise ValueError(f"the decision of query {query_id!r} was {how}")
        raise ValueError(f"no decision waits for a reward of query {query_id!r}: choose for it first, or mend the id")

    def _append(self, line: bytes) -> tuple[Position, Appender, int]:
        if self._file.size >= self._segment_bytes:
            self._roll()
        position = Position(self._segment, self._file.size)
        return position, self._file, self._file.write(line)

    def _roll(self) -> None:
        self._file.close()
        begin_segment(self.folder, self._segment + 1, self._index.header())
        self._segment += 1
        self._file = Appender(segment_path(self.folder, self._segment), self._sync_every)

    def to_logged_data(self, open_reward: float | None = None) -> LoggedData:
        """Return the decisions so far; see `load`."""
        return type(self).load(self.folder, open_reward)

    @staticmethod
    def load(folder: str | Path, open_reward: float | None = None) -> LoggedData:
        """Return the decisions of a log, in their order, also while another process writes it.

        Args:
            folder: of the log.
            open_reward: reward of the decisions that have none yet; None leaves those out.

        Raises:
            FileNotFoundError: if there is no log.
            ValueError: if the log is damaged, or no row is left.
        """
        folder = Path(folder)
        if not segment_numbers(folder):
            raise FileNotFoundError(f"{folder} holds no decision log (segment-00000000.jsonl, ...)")
        decisions: dict[int, LoggedDecision] = {}
        rewards: dict[int, float] = {}
        for placed in read_records(folder):
            if placed.record["kind"] == "decided":
                decision = LoggedDecision.from_record(placed.record)
                decisions[decision.number] = decision
            elif placed.record["kind"] == "rewarded":
                reward = LoggedReward.from_record(placed.record)
                rewards[reward.number] = reward.reward
            elif placed.record["kind"] == "dropped":
                decisions.pop(cast("int", placed.record["number"]))
        rows = [decisions[number] for number in sorted(decisions) if open_reward is not None or number in rewards]
        if not rows:
            raise ValueError(f"{folder} holds no rewarded decision yet: reward one, or give open_reward")
        return logged_data(rows, [rewards.get(row.number, cast("float", open_reward)) for row in rows])

    @staticmethod
    def stream(folder: str | Path, batch_rows: int = 1000) -> Iterator[LoggedData]:
        """Yield the rewarded decisions of a log in batches, in the order in which they were made; see `load`.

        One batch is in memory at a time, and of all other decisions their rewards.

        Args:
            folder: of the log.
            batch_rows: rows of each batch but the last, >= 1.

        Raises:
            ValueError: if the log is damaged, or a batch has contexts of two encoders.
        """
        return log_batches(Path(folder), checks.at_least(batch_rows, 1, "batch_rows"))

    def close(self) -> None:
        """Bring everything to the disk and let the folder go."""
        with self._lock:
            self._file.close()
            self._folder_lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
