"""Bandit feedback: what a logging policy chose, how likely it was to, and what came of it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool, Float32, Float64, Int64
from bandits.data.policy_data import (
    PolicyData,
    chosen_labels,
    chosen_rows,
    fixed_lists,
    joined_labels,
    joined_names,
    labels_of,
    required_rows,
    rows_of,
)

_OPTIONAL_VECTORS = ("costs", "weights", "times")
_OPTIONAL_MATRICES = ("available", "action_probabilities")


class DeterministicLogWarning(UserWarning):
    """A logging policy left nothing to chance, so its log supports no off-policy estimate."""


@dataclass(frozen=True, eq=False)
class LoggedData(PolicyData):
    """Decisions of a logging policy, one a row.

    Args:
        contexts: (n, d) float32, finite.
        actions: (n,) int64, indices into `arm_names`.
        rewards: (n,) float64, finite; higher is better.
        propensities: (n,) float64 in (0, 1]. Probability with which the logging policy took the action.
        arm_names: the k arms that `actions` counts through.
        available: (n, k) bool, the arms that could be chosen; None means all.
        action_probabilities: (n, k) float64, the whole distribution the action was drawn from.
        costs: (n,) float64, finite and >= 0.
        weights: (n,) float64, finite and >= 0; a row of weight 2 counts as two rows.
        times: (n,) float64, seconds since any fixed moment.
        query_ids: a query's id a row; rows that share one are never separated by a split.
        domains: a label a row.
        encoder: name of the context encoder.
        propensities_estimated: true where the propensities were not recorded but estimated (see
            `estimate_propensities`), so that estimates built on them can say so.

    Warns:
        DeterministicLogWarning: if there are `action_probabilities`, and in every row all probability lay on one of
            several arms: such a log says nothing about the arms that were not taken. (Without them no warning, since
            a policy that learns online makes many small logs; `deterministic` tells, and imports warn.)

    Raises:
        ValueError: naming the row, the rule and the value, if any of this does not hold. Nothing is clipped
            or dropped.
    """

    kind: ClassVar[str] = "LoggedData"

    contexts: Float32
    actions: Int64
    rewards: Float64
    propensities: Float64
    arm_names: tuple[str, ...]
    available: Bool | None = None
    action_probabilities: Float64 | None = None
    costs: Float64 | None = None
    weights: Float64 | None = None
    times: Float64 | None = None
    query_ids: tuple[str | None, ...] | None = None
    domains: tuple[str | None, ...] | None = None
    encoder: str | None = None
    propensities_estimated: bool = False

    def __post_init__(self) -> None:
        arm_names = checks.names(self.arm_names)
        contexts = checks.contexts(self.contexts)
        n, k = contexts.shape[0], len(arm_names)
        if n == 0:
            raise ValueError("LoggedData must hold at least one row, got none")
        rewards = checks.vector(self.rewards, "rewards", np.float64, n)
        checks.finite(rewards, "rewards")
        checked: dict[str, object] = {
            "arm_names": arm_names,
            "contexts": checks.frozen(contexts),
            "actions": checks.frozen(checks.actions(self.actions, n, arm_names)),
            "rewards": checks.frozen(rewards),
            "propensities": checks.frozen(checks.propensities(self.propensities, n)),
            "query_ids": checks.labels(self.query_ids, "query_ids", n),
            "domains": checks.labels(self.domains, "domains", n),
        }
        for name in _OPTIONAL_VECTORS:
            checked[name] = _optional_vector(getattr(self, name), name, n)
        if self.available is not None:
            checked["available"] = checks.frozen(checks.availability(self.available, n, k))
        if self.action_probabilities is not None:
            whole = checks.distribution(self.action_probabilities, "action_probabilities", n, k)
            checked["action_probabilities"] = checks.frozen(whole)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.available is not None or self.action_probabilities is not None:
            self._check_consistency()
        if self.action_probabilities is not None:
            self.warn_if_deterministic(stacklevel=3)

    def _check_consistency(self) -> None:
        """Refuse an action that was not available and a propensity that its distribution contradicts."""
        rows = np.arange(len(self))
        if self.available is not None:
            absent = ~self.available[rows, self.actions]
            if absent.any():
                row = int(np.argmax(absent))
                name = self.arm_names[int(self.actions[row])]
                raise ValueError(f"actions must be available: row {row} chose {name!r}, which was not")
        if self.action_probabilities is None:
            return
        stated = self.action_probabilities[rows, self.actions]
        off = np.abs(stated - self.propensities) > checks.PROBABILITY_TOLERANCE
        if off.any():
            row = int(np.argmax(off))
            raise ValueError(
                f"propensities must agree with action_probabilities: row {row} has {self.propensities[row]} "
                f"but the distribution gives its action {stated[row]}"
            )
        if self.available is not None:
            leaked = (self.action_probabilities > 0) & ~self.available
            if leaked.any():
                checks.refuse(self.action_probabilities, leaked, "action_probabilities", "must be 0 where unavailable")

    @property
    def deterministic(self) -> bool:
        """Return whether every row's arm was certain although several could be chosen (one row says nothing)."""
        if len(self) < 2 or self.n_arms < 2 or self.propensities[0] != 1:  # most logs leave at the first row
            return False
        if self.available is not None and (self.available.sum(axis=1) == 1).all():
            return False  # no row left a choice
        return bool((self.propensities == 1).all())

    def warn_if_deterministic(self, stacklevel: int = 2) -> None:
        """Warn with `DeterministicLogWarning` if `deterministic`; `stacklevel` as in `warnings.warn`."""
        if self.deterministic:
            warnings.warn(
                "the logging policy is deterministic: it gave every chosen arm probability 1, so this log cannot say "
                "what another arm would have brought; wrap the policy in EpsilonGreedy before it logs",
                DeterministicLogWarning,
                stacklevel=stacklevel + 1,
            )

    def _derived(self, **changes: object) -> LoggedData:
        """Return a copy with some fields replaced by what is known to be valid: nothing is checked again."""
        result = copy.copy(self)
        for name, value in changes.items():
            object.__setattr__(result, name, checks.frozen(value) if isinstance(value, np.ndarray) else value)
        return result

    def subset(self, rows: ArrayLike) -> LoggedData:
        """Return the rows that a boolean mask or indices name."""
        index = chosen_rows(rows, len(self))
        arrays = ("contexts", "actions", "rewards", "propensities", *_OPTIONAL_MATRICES, *_OPTIONAL_VECTORS)
        kept: dict[str, Any] = {name: value[index] for name in arrays if (value := getattr(self, name)) is not None}
        labels: dict[str, Any] = {name: chosen_labels(getattr(self, name), index) for name in ("query_ids", "domains")}
        return self._derived(**kept, **labels)

    def with_arms(self, arm_names: Sequence[str]) -> LoggedData:
        """Return the same decisions counted through `arm_names`, which must hold every arm of the log.

        Arms that the log does not know were not available in it.
        """
        wanted, index = self._arm_index(arm_names, strict=True)
        if wanted == self.arm_names:
            return self
        place = np.array([wanted.index(name) for name in self.arm_names], dtype=np.int64)
        known = np.array(index) >= 0
        available = self.available if self.available is not None else np.ones((len(self), self.n_arms), np.bool_)
        probabilities = self.action_probabilities
        return self._derived(
            arm_names=wanted,
            actions=place[self.actions],
            available=None if self.available is None and known.all() else np.where(known, available[:, index], False),
            action_probabilities=None if probabilities is None else np.where(known, probabilities[:, index], 0.0),
        )

    def select_arms(self, arm_names: Sequence[str]) -> LoggedData:
        """Return the decisions that took one of these arms; the others are dropped.

        The propensities stay those of the draw among all arms; the whole distributions are left out, because
        they speak of arms that are gone.
        """
        wanted, index = self._arm_index(arm_names, strict=False)
        kept = np.isin(self.actions, [i for i in index if i >= 0])
        if not kept.any():
            raise ValueError(f"no row of the log took one of {', '.join(wanted)}")
        rows = self.subset(kept)
        place = np.full(self.n_arms, -1, dtype=np.int64)
        for new, old in enumerate(index):
            if old >= 0:
                place[old] = new
        known = np.array(index) >= 0
        available = rows.available if rows.available is not None else np.ones((len(rows), self.n_arms), np.bool_)
        return rows._derived(
            arm_names=wanted,
            actions=place[rows.actions],
            available=np.where(known, available[:, index], False),
            action_probabilities=None,
        )

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Return all parts' rows; arms are joined by name, an optional column is in all parts or in none."""
        all_parts = list(parts)
        wanted = joined_names(all_parts)
        aligned = [part.with_arms(wanted) for part in all_parts]
        values: dict[str, object] = {}
        for name in (
            "contexts",
            "actions",
            "rewards",
            "propensities",
            *_OPTIONAL_VECTORS,
            *_OPTIONAL_MATRICES,
        ):
            arrays = [getattr(part, name) for part in aligned]
            if name == "available" and any(array is not None for array in arrays):
                arrays = [
                    np.ones((len(part), len(wanted)), np.bool_) if array is None else array
                    for part, array in zip(aligned, arrays, strict=True)
                ]
            present = [array for array in arrays if array is not None]
            if present and len(present) < len(arrays):
                raise ValueError(f"parts must all have {name} or none of them, got {len(present)} of {len(arrays)}")
            values[name] = np.concatenate(present) if present else None
        return cls(
            arm_names=wanted,
            encoder=all_parts[0].encoder,
            query_ids=joined_labels(all_parts, [part.query_ids for part in all_parts]),
            domains=joined_labels(all_parts, [part.domains for part in all_parts]),
            propensities_estimated=any(part.propensities_estimated for part in all_parts),
            **values,  # type: ignore[arg-type]  # the dictionary holds one array a field, by name
        )

    def _header(self) -> dict[str, object]:
        return {"propensities_estimated": self.propensities_estimated}

    def _columns(self) -> dict[str, pa.Array]:
        columns = {name: pa.array(getattr(self, name)) for name in ("actions", "rewards", "propensities")}
        for name in _OPTIONAL_VECTORS:
            if getattr(self, name) is not None:
                columns[name] = pa.array(getattr(self, name))
        if self.available is not None:
            columns["available"] = fixed_lists(self.available)
        if self.action_probabilities is not None:
            columns["action_probabilities"] = fixed_lists(self.action_probabilities)
        return columns

    @classmethod
    def from_table(cls, table: pa.Table, header: dict[str, object]) -> Self:
        """Return the rows of a table that a part file holds."""
        values = {name: required_rows(table, name) for name in ("actions", "rewards", "propensities")}
        optional = {name: rows_of(table, name) for name in (*_OPTIONAL_VECTORS, *_OPTIONAL_MATRICES)}
        return cls(
            contexts=required_rows(table, "context"),
            arm_names=tuple(cast("list[str]", header["arm_names"])),
            encoder=cast("str | None", header["encoder"]),
            query_ids=labels_of(table, "query_id"),
            domains=labels_of(table, "domain"),
            propensities_estimated=bool(header.get("propensities_estimated", False)),
            **values,
            **optional,  # type: ignore[arg-type]  # one array a field, by name; __post_init__ checks each
        )


def _optional_vector(values: ArrayLike | None, name: str, n_rows: int) -> np.ndarray | None:
    if values is None:
        return None
    array = checks.vector(values, name, np.float64, n_rows)
    checks.finite(array, name)
    if name != "times" and (array < 0).any():
        checks.refuse(array, array < 0, name, "must be >= 0")
    return checks.frozen(array)
