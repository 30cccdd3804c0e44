"""Full information: what every arm would have brought on every query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from arms import Observation, Query
from bandits import checks
from bandits.checks import Bool, Float32, Float64, Int64
from bandits.data.columns import Column, Numbers, ObservationRow, Observations, PerArm, Texts
from bandits.data.decision import ChoosesArms, draw_actions
from bandits.data.feedback import Feedback
from bandits.data.logged_data import LoggedData
from bandits.data.observation_rows import check_rows_are_of, checked_observations, names_of, rewards_of
from bandits.data.policy_data import PolicyData
from bandits.encoders.columns import mark_of_names, names_of_frame
from bandits.encoders.encoder import ContextEncoder, check_same_encoder
from rewards import Reward


@dataclass(frozen=True, eq=False, repr=False)
class FullInformationData(PolicyData):
    """The reward of each arm on each query, one query a row.

    The first three arguments may be given by position, the rest by name only.

    Args:
        contexts: (n, d) float32, finite.
        rewards: (n, k) float64, finite where observed; NaN is stored elsewhere.
        arm_names: the k arms, in column order.
        observed: (n, k) bool, which rewards are known (an arm added late, a ragged log); None means all.
        costs: (n, k) float64, finite and >= 0 where observed; seconds in draftpick's own data.
        times: (n,) float64, seconds since any fixed moment; datetime64 becomes seconds since 1970.
        query_ids: a query's id a row; rows that share one are never separated by a split.
        domains: a label a row.
        observations: n rows of k raw observations (None where not observed), from which another reward is
            computed without running a model again.
        encoder: name of the context encoder.
        cost_profiles: digests of the cost profiles that the costs were computed with; none where they were measured.

    Raises:
        ValueError: naming the row, the rule and the value, if any of this does not hold.
    """

    kind: ClassVar[str] = "FullInformationData"
    columns: ClassVar[tuple[Column[Any], ...]] = (
        Numbers("contexts", "context"),
        PerArm("rewards"),
        PerArm("observed", of_new_arm=False, all_true=True),
        PerArm("costs"),
        Numbers("times"),
        Texts("query_ids", "query_id"),
        Texts("domains", "domain"),
        Observations("observations"),
    )
    n_required: ClassVar[int] = 2
    origins: ClassVar[tuple[str, ...]] = ("cost_profiles",)

    contexts: Float32
    rewards: Float64
    arm_names: tuple[str, ...]
    _: KW_ONLY
    observed: Bool | None = None
    costs: Float64 | None = None
    times: Float64 | None = None
    query_ids: tuple[str | None, ...] | None = None
    domains: tuple[str | None, ...] | None = None
    observations: tuple[ObservationRow, ...] | None = None
    encoder: str | None = None
    cost_profiles: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        arm_names = checks.names(self.arm_names)
        contexts = checks.data_contexts(self.contexts)
        n, k = contexts.shape[0], len(arm_names)
        if n == 0:
            raise ValueError("FullInformationData must hold at least one row, got none")
        observed = None if self.observed is None else checks.availability(self.observed, n, k, "observed")
        if observed is not None and observed.all():
            observed = None
        checked: dict[str, object] = {
            "arm_names": arm_names,
            "contexts": contexts,
            "encoder": mark_of_names(names_of_frame(self.contexts)) if self.encoder is None else self.encoder,
            "observed": observed,
            "rewards": _observed_matrix(self.rewards, "rewards", (n, k), observed),
            "times": checks.moments(self.times, n),
            "query_ids": checks.labels(self.query_ids, "query_ids", n),
            "domains": checks.labels(self.domains, "domains", n),
            "cost_profiles": _texts(self.cost_profiles, "cost_profiles"),
        }
        if self.costs is not None:
            costs = _observed_matrix(self.costs, "costs", (n, k), observed)
            if (costs < 0).any():
                checks.refuse(costs, costs < 0, "costs", "must be >= 0")
            checked["costs"] = costs
        if self.observations is not None:
            checked["observations"] = checked_observations(self.observations, observed, n, arm_names)
        self._store(checked)

    @classmethod
    def from_observations(
        cls,
        queries: Sequence[Query],
        observations: Sequence[Sequence[Observation | None]],
        *,
        encoder: ContextEncoder,
        reward: Reward,
        arm_names: Sequence[str] | None = None,
        contexts: ArrayLike | None = None,
    ) -> Self:
        """Return what pulls of arms showed, a query a row.

        Args:
            queries: n queries.
            observations: n rows of k observations, one an arm, always in the same order of arms; None where an arm
                was not pulled.
            encoder: makes the contexts from the queries' texts.
            reward: puts a value on each observation, one of a failed pull included.
            arm_names: the k arms; None takes them from the observations.
            contexts: (n, d) float32 that `encoder` has made already.

        Returns:
            The data; costs are seconds.

        Raises:
            ValueError: naming query and arm, if an observation is not of its row's query and its column's arm, or
                the reward rejects it.
        """
        rows = tuple(tuple(row) for row in observations)
        names = checks.names(names_of(rows) if arm_names is None else arm_names)
        check_rows_are_of(queries, rows, len(names))
        observed = np.array([[observation is not None for observation in row] for row in rows])
        seconds = [[np.nan if o is None else o.seconds for o in row] for row in rows]
        if contexts is None:
            contexts = encoder.encode([query.text for query in queries])
        return cls(
            contexts=checks.data_contexts(contexts, n_rows=len(queries)),
            rewards=rewards_of(rows, reward),
            arm_names=names,
            observed=checks.availability(observed, len(rows), len(names), "observations"),
            costs=np.array(seconds),
            query_ids=tuple(query.id for query in queries),
            domains=tuple(query.domain for query in queries) if any(query.domain for query in queries) else None,
            observations=rows,
            encoder=encoder.name,
        )

    @classmethod
    def _joined(cls, all_parts: list[Self]) -> Self:
        """Return the rows of all parts, of a folder too.

        Raises:
            ValueError: also if two parts call different queries (of other contexts) by one id, which a split and every
                interval would take for one query. Within a part, rows of one id may differ: rounds of one text do.
        """
        if len(all_parts) > 1:
            _check_ids_are_shared_by_equals(all_parts)
        return super()._joined(all_parts)

    def feedback(self) -> Feedback:
        """Return one entry for each observed arm of each row."""
        return Feedback(self.rewards, self.n_arms, available=self.observed)

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
            ValueError: if the data hold no observations, or naming query and arm, if the reward rejects one.
        """
        if self.observations is None:
            raise ValueError("with_reward needs the stored observations, and these data hold none")
        return replace(self, rewards=rewards_of(self.observations, reward))

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
            times=self.times,
            query_ids=self.query_ids,
            domains=self.domains,
            encoder=self.encoder,
        )

    def probabilities_of(self, policy: ChoosesArms) -> Float64:
        """Return the policy's (n, k) probabilities in the order of these data's arms, by name.

        Raises:
            ValueError: if the policy has an arm that the data lack, or learned from contexts of another encoder.
        """
        state = getattr(policy, "state", None)  # of a `Policy`; another may know nothing of encoders
        check_same_encoder("the policy", getattr(state, "encoder", None), "the data", self.encoder)
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
        """Return the rows on which every arm is observed; reject data that have none."""
        complete = self.complete
        if complete.all():
            return self
        if not complete.any():
            raise ValueError("an exact value needs rows on which every arm is observed, and there is none")
        return self.subset(complete)

    def _derived(self, values: dict[str, Any]) -> Self:
        """Return a copy with valid fields replaced; full observation is `observed` None, as in the constructor."""
        observed = values.get("observed")
        return PolicyData._derived(
            self, {**values, "observed": None} if observed is not None and observed.all() else values
        )

    def select_arms(self, arm_names: Sequence[str]) -> FullInformationData:
        """Return these arms' columns; rows on which none of them is observed are dropped."""
        wanted, places = self._arm_places(arm_names, strict=False)
        seen = self.observed_mask[:, [place for place in places if place >= 0]].any(axis=1)
        if not seen.any():
            raise ValueError(f"no row of the data observes one of {', '.join(wanted)}")
        return (self if seen.all() else self.subset(seen))._in_arms(wanted, places)

    def _arm_summary(self) -> tuple[Int64, Float64]:
        counts = self.observed_mask.sum(axis=0)
        sums = np.where(self.observed_mask, self.rewards, 0.0).sum(axis=0)
        return counts, np.divide(sums, counts, out=np.full(self.n_arms, np.nan), where=counts > 0)


def _check_ids_are_shared_by_equals(parts: Sequence[FullInformationData]) -> None:
    """Reject an id that two parts give to queries of other contexts."""
    first: dict[str, tuple[int, bytes]] = {}
    for number, part in enumerate(parts):
        for query_id, context in zip(part.query_ids or (), part.contexts, strict=False):
            if query_id is None:
                continue
            holder, known = first.setdefault(query_id, (number, context.tobytes()))
            if holder != number and known != context.tobytes():
                raise ValueError(
                    f"parts {holder} and {number} both have a query {query_id!r}, with other contexts: give different "
                    "queries different ids, or they are counted as one"
                )


def _texts(values: Sequence[str], what: str) -> tuple[str, ...]:
    if isinstance(values, str) or not all(isinstance(value, str) for value in values):
        raise TypeError(f"{what} must be a tuple of strings, got {values!r}")
    return tuple(values)


def _observed_matrix(values: ArrayLike, what: str, shape: tuple[int, int], observed: Bool | None) -> Float64:
    array: Float64 = checks.matrix(values, what, np.float64, shape)
    try:
        checks.finite(array, what, observed)
    except ValueError as error:
        raise ValueError(f"{error}; mark what is not known with observed=") from None
    return array if observed is None else np.where(observed, array, np.nan)
