"""Bandit feedback: what a logging policy chose, how likely it was to, and what came of it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from bandits import checks
from bandits.checks import Bool, Float32, Float64, Int64
from bandits.data.columns import Actions, Column, Numbers, PerArm, Texts
from bandits.data.feedback import Feedback
from bandits.data.policy_data import PolicyData
from bandits.encoders.columns import mark_of_names, names_of_frame


class DeterministicLogWarning(UserWarning):
    """A logging policy drew nothing at random, so its log supports no off-policy estimate."""


@dataclass(frozen=True, eq=False, repr=False)
class LoggedData(PolicyData):
    """Decisions of a logging policy, one a row.

    The first five arguments may be given by position, the rest by name only.

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
        times: (n,) float64, seconds since any fixed moment; datetime64 becomes seconds since 1970.
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
    columns: ClassVar[tuple[Column[Any], ...]] = (
        Numbers("contexts", "context"),
        Actions("actions"),
        Numbers("rewards"),
        Numbers("propensities"),
        PerArm("available", of_new_arm=False, all_true=True),
        PerArm("action_probabilities", of_new_arm=0.0),
        Numbers("costs"),
        Numbers("weights"),
        Numbers("times"),
        Texts("query_ids", "query_id"),
        Texts("domains", "domain"),
    )
    n_required: ClassVar[int] = 4
    marks: ClassVar[tuple[str, ...]] = ("propensities_estimated",)

    contexts: Float32
    actions: Int64
    rewards: Float64
    propensities: Float64
    arm_names: tuple[str, ...]
    _: KW_ONLY
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
        contexts = checks.data_contexts(self.contexts)
        n, k = contexts.shape[0], len(arm_names)
        if n == 0:
            raise ValueError("LoggedData must hold at least one row, got none")
        if not isinstance(self.propensities_estimated, bool):
            raise TypeError(f"propensities_estimated must be True or False, got {self.propensities_estimated!r}")
        rewards = checks.vector(self.rewards, "rewards", np.float64, n)
        checks.finite(rewards, "rewards")
        checked: dict[str, object] = {
            "arm_names": arm_names,
            "contexts": contexts,
            "encoder": mark_of_names(names_of_frame(self.contexts)) if self.encoder is None else self.encoder,
            "actions": checks.actions(self.actions, n, arm_names),
            "rewards": rewards,
            "propensities": checks.propensities(self.propensities, n),
            "query_ids": checks.labels(self.query_ids, "query_ids", n),
            "domains": checks.labels(self.domains, "domains", n),
            "times": checks.moments(self.times, n),
        }
        for name in ("costs", "weights"):
            checked[name] = _optional_vector(getattr(self, name), name, n)
        if self.available is not None:
            checked["available"] = checks.availability(self.available, n, k)
        if self.action_probabilities is not None:
            whole = checks.distribution(self.action_probabilities, "action_probabilities", n, k)
            checked["action_probabilities"] = whole
        self._store(checked)
        if self.available is not None or self.action_probabilities is not None:
            self._check_consistency()
        if self.action_probabilities is not None:
            self.warn_if_deterministic(stacklevel=3)

    def _check_consistency(self) -> None:
        """Reject an action that was not available and a propensity that its distribution contradicts."""
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

    def feedback(self) -> Feedback:
        """Return one entry a row: the arm that was taken."""
        return Feedback(
            self.rewards,
            self.n_arms,
            taken=self.actions,
            propensities=self.propensities,
            weights=self.weights,
            available=self.available,
        )

    def select_arms(self, arm_names: Sequence[str]) -> LoggedData:
        """Return the decisions that took one of these arms; the others are dropped.

        The propensities stay those of the draw among all arms; the whole distributions are left out, because
        they speak of arms that are gone.
        """
        wanted, places = self._arm_places(arm_names, strict=False)
        kept = np.isin(self.actions, [place for place in places if place >= 0])
        if not kept.any():
            raise ValueError(f"no row of the log took one of {', '.join(wanted)}")
        return self.subset(kept)._derived({"action_probabilities": None})._in_arms(wanted, places)

    def _arm_summary(self) -> tuple[Int64, Float64]:
        counts = np.bincount(self.actions, minlength=self.n_arms)
        sums = np.bincount(self.actions, self.rewards, minlength=self.n_arms)
        return counts, np.divide(sums, counts, out=np.full(self.n_arms, np.nan), where=counts > 0)


def _optional_vector(values: ArrayLike | None, name: str, n_rows: int) -> np.ndarray | None:
    if values is None:
        return None
    array = checks.vector(values, name, np.float64, n_rows)
    checks.finite(array, name)
    if (array < 0).any():
        checks.refuse(array, array < 0, name, "must be >= 0")
    return array
