"""Full information: what every arm would have brought on every query."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike

from arms import Observation
from bandits import checks
from bandits.checks import Bool, Float32, Float64
from bandits.data.decision import ChoosesArms, draw_actions
from bandits.data.logged_data import LoggedData
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

if TYPE_CHECKING:
    from rewards import Reward

ObservationRow = tuple[Observation | None, ...]


@dataclass(frozen=True, eq=False)
class FullInformationData(PolicyData):
    """The reward of each arm on each query, one query a row.

    Args:
        contexts: (n, d) float32, finite.
        rewards: (n, k) float64, finite where observed; NaN is stored elsewhere.
        arm_names: the k arms, in column order.
        observed: (n, k) bool, which rewards are known (an arm added late, a ragged log); None means all.
        costs: (n, k) float64, finite and >= 0 where observed; seconds in draftpick's own data.
        query_ids: a query's id a row; rows that share one are never separated by a split.
        domains: a label a row.
        observations: n rows of k raw observations (None where not observed), from which another reward is
            computed without running a model again.
        encoder: name of the context encoder.

    Raises:
        ValueError: naming the row, the rule and the value, if any of this does not hold.
    """

    kind: ClassVar[str] = "FullInformationData"

    contexts: Float32
    rewards: Float64
    arm_names: tuple[str, ...]
    observed: Bool | None = None
    costs: Float64 | None = None
    query_ids: tuple[str | None, ...] | None = None
    domains: tuple[str | None, ...] | None = None
    observations: tuple[ObservationRow, ...] | None = None
    encoder: str | None = None

    def __post_init__(self) -> None:
        arm_names = checks.names(self.arm_names)
        contexts = checks.contexts(self.contexts)
        n, k = contexts.shape[0], len(arm_names)
        if n == 0:
            raise ValueError("FullInformationData must hold at least one row, got none")
        observed = None if self.observed is None else checks.availability(self.observed, n, k)
        if observed is not None and observed.all():
            observed = None
        checked: dict[str, object] = {
            "arm_names": arm_names,
            "contexts": checks.frozen(contexts),
            "observed": None if observed is None else checks.frozen(observed),
            "rewards": _observed_matrix(self.rewards, "rewards", (n, k), observed),
            "query_ids": checks.labels(self.query_ids, "query_ids", n),
            "domains": checks.labels(self.domains, "domains", n),
        }
        if self.costs is not None:
            costs = _observed_matrix(self.costs, "costs", (n, k), observed)
            if (costs < 0).any():
                checks.refuse(costs, costs < 0, "costs", "must be >= 0")
            checked["costs"] = costs
        if self.observations is not None:
            checked["observations"] = _checked_observations(self.observations, observed, n, arm_names)
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @property
    def observed_mask(self) -> Bool:
        """Return observed as (n, k) bool, also when everything is observed."""
        return self.observed if self.observed is not None else np.ones(self.rewards.shape, np.bool_)

    @property
    def complete(self) -> Bool:
        """Return (n,) bool: the rows on which every arm is observed."""
        complete: Bool = np.logical_and.reduce(self.observed_mask, axis=1)
        return complete

    def known_observations(self) -> Iterator[Observation]:
        """Yield the stored observations, row by row.

        Raises:
            ValueError: if the data hold none.
        """
        if self.observations is None:
            raise ValueError("the stored observations are needed, and these data hold none")
        return (observation for row in self.observations for observation in row if observation is not None)

    def with_reward(self, reward: Reward) -> FullInformationData:
        """Return the same data with the rewards that `reward` gives the stored observations.

        Raises:
            ValueError: if the data hold no observations.
        """
        if self.observations is None:
            raise ValueError("with_reward needs the stored observations, and these data hold none")
        rewards = np.full(self.rewards.shape, np.nan)
        for row, observations in enumerate(self.observations):
            for arm, observation in enumerate(observations):
                if observation is not None:
                    rewards[row, arm] = reward(observation)
        return replace(self, rewards=rewards)

    def log_with(self, policy: ChoosesArms, rng: np.random.Generator) -> LoggedData:
        """Return the log that `policy` would have written: one arm a row, drawn with its own probabilities.

        An arm can be drawn only where it is observed.

        Raises:
            ValueError: if on some row the policy knows no observed arm.
        """
        place = {name: index for index, name in enumerate(self.arm_names)}
        index = np.array([place.get(name, -1) for name in policy.arm_names or self.arm_names])
        available = np.where(index >= 0, self.observed_mask[:, index], False)
        if not policy.arm_names:
            policy.start(self.arm_names, self.n_features)
        probabilities = policy.probabilities(self.contexts, available)
        actions = draw_actions(probabilities, rng)
        rows = np.arange(len(self))
        return LoggedData(
            contexts=self.contexts,
            actions=actions,
            rewards=self.rewards[rows, index[actions]],
            propensities=np.minimum(probabilities[rows, actions], 1.0),
            arm_names=policy.arm_names,
            available=None if available.all() else available,
            action_probabilities=probabilities,
            costs=None if self.costs is None else self.costs[rows, index[actions]],
            query_ids=self.query_ids,
            domains=self.domains,
            encoder=self.encoder,
        )

    def probabilities_of(self, policy: ChoosesArms) -> Float64:
        """Return the policy's (n, k) probabilities in the order of these data's arms, by name.

        Raises:
            ValueError: if the policy has an arm that the data lack.
        """
        missing = [name for name in policy.arm_names if name not in self.arm_names]
        if missing:
            raise ValueError(
                f"the policy may choose {missing[0]!r}, which the data do not hold (arms: {', '.join(self.arm_names)})"
            )
        result = np.zeros(self.rewards.shape)
        columns = [self.arm_names.index(name) for name in policy.arm_names]
        result[:, columns] = policy.probabilities(self.contexts)
        return result

    def value(self, policy: ChoosesArms) -> float:
        """Return the policy's exact mean reward on the rows where every arm is observed.

        V = mean over rows of sum_a pi(a given x) r(x, a).

        Raises:
            ValueError: if no row is fully observed, or the policy has an arm that the data lack.
        """
        data = self.complete_rows()
        return float(np.einsum("nk,nk->n", data.probabilities_of(policy), data.rewards).mean())

    def complete_rows(self) -> FullInformationData:
        """Return the rows on which every arm is observed; refuse data that have none."""
        complete = self.complete
        if complete.all():
            return self
        if not complete.any():
            raise ValueError("an exact value needs rows on which every arm is observed, and there is none")
        return self.subset(complete)

    def subset(self, rows: ArrayLike) -> FullInformationData:
        """Return the rows that a boolean mask or indices name."""
        index = chosen_rows(rows, len(self))
        arrays = ("contexts", "rewards", "observed", "costs")
        kept: dict[str, Any] = {name: value[index] for name in arrays if (value := getattr(self, name)) is not None}
        observations = None if self.observations is None else tuple(self.observations[i] for i in index.tolist())
        labels: dict[str, Any] = {name: chosen_labels(getattr(self, name), index) for name in ("query_ids", "domains")}
        return replace(self, observations=observations, **kept, **labels)

    def with_arms(self, arm_names: Sequence[str]) -> FullInformationData:
        """Return the same rows with these arms as columns; an arm that is new to the data is unobserved."""
        wanted, index = self._arm_index(arm_names, strict=True)
        return self if wanted == self.arm_names else self._columns_at(wanted, index)

    def select_arms(self, arm_names: Sequence[str]) -> FullInformationData:
        """Return these arms' columns; rows on which none of them is observed are dropped."""
        wanted, index = self._arm_index(arm_names, strict=False)
        seen = self.observed_mask[:, [i for i in index if i >= 0]].any(axis=1)
        if not seen.any():
            raise ValueError(f"no row of the data observes one of {', '.join(wanted)}")
        return (self if seen.all() else self.subset(seen))._columns_at(wanted, index)

    def _columns_at(self, wanted: tuple[str, ...], index: list[int]) -> FullInformationData:
        known = np.array(index) >= 0
        observations = self.observations and tuple(
            tuple(row[i] if i >= 0 else None for i in index) for row in self.observations
        )
        return replace(
            self,
            arm_names=wanted,
            rewards=np.where(known, self.rewards[:, index], np.nan),
            observed=np.where(known, self.observed_mask[:, index], False),
            costs=None if self.costs is None else np.where(known, self.costs[:, index], np.nan),
            observations=observations,
        )

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> Self:
        """Return all parts' rows; arms are joined by name, one that a part lacks is unobserved there."""
        all_parts = list(parts)
        aligned = [part.with_arms(joined_names(all_parts)) for part in all_parts]
        for name in ("costs", "observations"):
            n_present = sum(getattr(part, name) is not None for part in aligned)
            if 0 < n_present < len(aligned):
                raise ValueError(f"parts must all have {name} or none of them, got {n_present} of {len(aligned)}")
        with_costs = aligned[0].costs is not None
        with_observations = aligned[0].observations is not None
        return cls(
            contexts=np.concatenate([part.contexts for part in aligned]),
            rewards=np.concatenate([part.rewards for part in aligned]),
            arm_names=aligned[0].arm_names,
            observed=np.concatenate([part.observed_mask for part in aligned]),
            costs=np.concatenate([cast("Float64", part.costs) for part in aligned]) if with_costs else None,
            query_ids=joined_labels(aligned, [part.query_ids for part in aligned]),
            domains=joined_labels(aligned, [part.domains for part in aligned]),
            observations=tuple(row for part in aligned for row in part.observations or ())
            if with_observations
            else None,
            encoder=aligned[0].encoder,
        )

    def _columns(self) -> dict[str, pa.Array]:
        columns = {"rewards": fixed_lists(self.rewards), "observed": fixed_lists(self.observed_mask)}
        if self.costs is not None:
            columns["costs"] = fixed_lists(self.costs)
        if self.observations is not None:
            texts = [[None if o is None else json.dumps(o.to_dict()) for o in row] for row in self.observations]
            columns["observations"] = pa.array(texts, pa.list_(pa.string()))
        return columns

    @classmethod
    def from_table(cls, table: pa.Table, header: dict[str, object]) -> Self:
        """Return the rows of a table that a part file holds."""
        observations = None
        if "observations" in table.column_names:
            observations = tuple(
                tuple(None if text is None else Observation.from_dict(json.loads(text)) for text in row)
                for row in table.column("observations").to_pylist()
            )
        return cls(
            contexts=required_rows(table, "context"),
            rewards=required_rows(table, "rewards"),
            arm_names=tuple(cast("list[str]", header["arm_names"])),
            observed=rows_of(table, "observed"),
            costs=rows_of(table, "costs"),
            query_ids=labels_of(table, "query_id"),
            domains=labels_of(table, "domain"),
            observations=observations,
            encoder=cast("str | None", header["encoder"]),
        )


def _observed_matrix(values: ArrayLike, what: str, shape: tuple[int, int], observed: Bool | None) -> Float64:
    array: Float64 = checks.matrix(values, what, np.float64, shape)
    try:
        checks.finite(array, what, observed)
    except ValueError as error:
        raise ValueError(f"{error}; mark what is not known with observed=") from None
    return cast("Float64", checks.frozen(array if observed is None else np.where(observed, array, np.nan)))


def _checked_observations(
    rows: Sequence[Sequence[Observation | None]],
    observed: Bool | None,
    n_rows: int,
    arm_names: tuple[str, ...],
) -> tuple[ObservationRow, ...]:
    result = tuple(tuple(row) for row in rows)
    if len(result) != n_rows or any(len(row) != len(arm_names) for row in result):
        raise ValueError(f"observations must be {n_rows} rows of {len(arm_names)} (one an arm)")
    for index, row in enumerate(result):
        for arm, observation in enumerate(row):
            expected = observed is None or bool(observed[index, arm])
            if expected != (observation is not None):
                state = "is missing" if expected else "is there although observed says it is not"
                raise ValueError(f"observations: row {index}, arm {arm_names[arm]!r} {state}")
            if observation is not None and observation.arm != arm_names[arm]:
                raise ValueError(
                    f"observations must stand in their arm's column: row {index} has one of "
                    f"{observation.arm!r} under {arm_names[arm]!r}"
                )
    return result
