"""What a context holds beside the text: load, the conversation's length, tools, what a prefix cache saves, the hour."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from arms import Query
from arms.atomic_file import write_file
from arms.input_file import read_text
from bandits import ContextEncoder
from bandits.checks import Float32
from bandits.encoders import ColumnFeatures
from speculative.serving.completion_request import CompletionRequest
from speculative.serving.prefix_cache import PrefixCache

ColumnGroup = Literal["load", "queue", "conversation", "tools", "prefix", "time"]
N_SLOTS = 8
"""Arms that have columns of their own; the ninth shares those of the first."""

COLUMNS: Mapping[ColumnGroup, tuple[str, ...]] = {
    "load": ("running", *(f"running_{slot}" for slot in range(N_SLOTS))),
    "queue": tuple(f"waiting_{slot}" for slot in range(N_SLOTS)),
    "conversation": ("n_messages", "n_characters"),
    "tools": ("has_tools",),
    "prefix": tuple(f"saved_{slot}" for slot in range(N_SLOTS)),
    "time": ("hour_sin", "hour_cos"),
}
"""The columns of each group, each in [-1, 1] or near it."""

DEFAULT_GROUPS: tuple[ColumnGroup, ...] = ("load", "queue", "conversation", "tools", "prefix")
"""All but the hour, which repeats itself once a day and so is learned slowly."""


class ColumnedQuery(Query):
    """A query with the columns of its request.

    Attributes:
        columns: in the order of the encoder's groups.
    """

    columns: tuple[float, ...]


class ColumnedEncoder(ContextEncoder):
    """Put a request's columns beside the features of its text; where there is no request they are 0.

    Data and policies are marked with both, so that a policy of another layout is refused.

    Args:
        texts: encodes the text.
        groups: of the columns, at least one.
    """

    def __init__(self, texts: ContextEncoder, groups: Sequence[ColumnGroup]) -> None:
        self._texts, self.groups = texts, tuple(groups)
        self.n_features = texts.n_features + len(names_of(groups))
        self.name = ColumnFeatures(dict.fromkeys(names_of(groups))).beside(texts.name)

    def encode(self, texts: Sequence[str]) -> Float32:
        """Return (n, d) float32, with columns of 0."""
        rows = np.zeros((len(texts), self.n_features), dtype=np.float32)
        rows[:, : self._texts.n_features] = self._texts.encode(texts)
        return rows

    def encode_query(self, query: Query) -> Float32:
        """Return (d,) float32, with the query's columns where it has some."""
        row: Float32 = self.encode([query.text])[0]
        if isinstance(query, ColumnedQuery):
            row[self._texts.n_features :] = query.columns
        return row


class RequestColumns:
    """Knows what runs where, and what each arm has read, and makes the columns of a request.

    Of the requests that run here, an upstream does not tell which of them it computes; its queue is that of all its
    clients, as its metrics tell it.

    Args:
        arms: in an order that never changes; new ones join at the end.
        groups: to make; none costs nothing.
        clock: seconds since the epoch.

    Attributes:
        running: requests by arm.
        waiting: tells how many requests wait in an arm's queue.
    """

    def __init__(
        self, arms: Iterable[str], groups: Sequence[ColumnGroup] = (), clock: Callable[[], float] = time.time
    ) -> None:
        self._slots = {arm: number % N_SLOTS for number, arm in enumerate(arms)}
        self._groups, self._clock = tuple(groups), clock
        self._caches = {arm: PrefixCache() for arm in self._slots}
        self.running: Counter[str] = Counter()
        self.waiting: Callable[[str], int] = lambda arm: 0

    def keep(self, arms: Collection[str]) -> None:
        """Have these arms from now on: new ones take the next columns, those of arms that have left are 0."""
        slots, there = dict(self._slots), set(arms)
        for arm in arms:
            slots.setdefault(arm, len(slots) % N_SLOTS)
        kept = {arm: cache for arm, cache in self._caches.items() if arm in there}
        self._caches = {arm: kept.get(arm) or PrefixCache() for arm in slots}
        self._slots = slots  # another thread may go through the old ones

    def query(self, decision_id: str, request: CompletionRequest) -> Query:
        """Return what the agent is asked."""
        if not self._groups:
            return Query(id=decision_id, prompt=request.text, domain=request.domain)
        values = {group: self._values(group, request) for group in self._groups}
        columns = tuple(value for group in self._groups for value in values[group])
        return ColumnedQuery(id=decision_id, prompt=request.text, domain=request.domain, columns=columns)

    def began(self, arm: str) -> None:
        """Note that an arm is asked."""
        self.running[arm] += 1

    def ended(self, arm: str) -> None:
        """Note that it has ended, in whatever way."""
        self.running[arm] -= 1

    def answered(self, arm: str, request: CompletionRequest, first_s: float | None) -> None:
        """Note what an arm has read, and how long it took to its first token."""
        if "prefix" in self._groups:
            self._caches[arm].answered(request.prefix, first_s)

    def _values(self, group: ColumnGroup, request: CompletionRequest) -> list[float]:
        if group == "load":
            return [_scaled(self.running.total(), 5), *self._by_slot(lambda arm: _scaled(self.running[arm], 5))]
        if group == "queue":
            return self._by_slot(lambda arm: _scaled(self.waiting(arm), 5))
        if group == "conversation":
            messages = request.body.get("messages")
            n_messages = len(messages) if isinstance(messages, list) else 1
            return [_scaled(n_messages, 5), _scaled(len(request.text), 12)]
        if group == "tools":
            return [float(bool(request.body.get("tools")))]
        if group == "prefix":
            return self._by_slot(lambda arm: math.tanh(self._caches[arm].saved_s(request.prefix)))
        angle = 2 * math.pi * (self._clock() % 86_400) / 86_400
        return [math.sin(angle), math.cos(angle)]

    def _by_slot(self, value: Callable[[str], float]) -> list[float]:
        values = [0.0] * N_SLOTS
        for arm, slot in self._slots.items():
            values[slot] += value(arm)
        return values


def names_of(groups: Sequence[ColumnGroup]) -> list[str]:
    """Return the columns of some groups, in order.

    Raises:
        ValueError: if a group is unknown, or there is none.
    """
    unknown = [group for group in groups if group not in COLUMNS]
    if unknown or not groups:
        raise ValueError(f"columns must be some of {', '.join(COLUMNS)}, got {', '.join(unknown) or 'none'}")
    return [name for group in groups for name in COLUMNS[group]]


def lasting_order(file: Path, arms: Sequence[str]) -> list[str]:
    """Return the arms in the order in which a file remembers them, new ones last, and remember these too.

    Raises:
        ValueError: if the file is damaged.
    """
    known = json.loads(read_text(file)) if file.exists() else []
    if not isinstance(known, list) or not all(isinstance(arm, str) for arm in known):
        raise ValueError(f"{file} is damaged: restore it, or begin another folder")
    order = list(dict.fromkeys([*known, *arms]))
    if order != known:
        write_file(file, json.dumps(order))
    return order


def served_groups(asked: Sequence[ColumnGroup] | None, mark: str | None) -> tuple[ColumnGroup, ...]:
    """Return the groups that contexts hold: as asked for, else as a policy learned them, else the usual ones.

    Args:
        asked: for; None where nobody asked.
        mark: of the contexts that the policy learned from; None for one that has learned nothing.
    """
    if asked is not None:
        return tuple(group for group in COLUMNS if group in asked)
    if mark is None:
        return DEFAULT_GROUPS
    features = ColumnFeatures.of_name(mark)
    names = () if features is None else tuple(features.levels)
    return tuple(group for group, columns in COLUMNS.items() if columns[0] in names)


def _scaled(count: float, scale: float) -> float:
    return math.log1p(count) / scale
