"""The result of `compare`: a row a candidate, learning curves, and the conclusion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bandits.data.array_data import Data
from bandits.data.data_stream import DataStream
from bandits.data.full_information_data import FullInformationData
from bandits.evaluation.conclusion import Conclusion
from bandits.evaluation.objective import net_of_costs
from bandits.evaluation.scores import Kind
from bandits.evaluation.segments import SegmentRow, segment_table
from bandits.evaluation.streamed_comparison import fit_batches
from bandits.policies.policy import Policy
from bandits.policies.shrunk import shrunk
from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table

if TYPE_CHECKING:
    from rewards import Reward

UNSUPPORTED = "the log cannot support an estimate"  # how a note begins, after the name, that says so


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonRow(Estimate):
    """What one candidate earns on queries that it was not trained on.

    Attributes:
        name: of the policy or arm; "best fixed arm" (the best one on each seed's training part), "best arm by segment"
            (the best one there for the query's domain), "oracle" (best reward per query) or "logging policy".
        kind: "policy", "fixed", "segment", "arm", "oracle" or "log".
        estimator: of the value: "exact" on full information, "on policy" for the log itself, else the
            off-policy estimator's name.
        value: mean reward over seeds and test queries.
        low: lower bound of its interval.
        high: upper bound of its interval.
        difference: value minus the baseline's under the same estimator, paired by seed and query.
        regret: the oracle's value minus this one's, paired; None on a log, where no oracle is known.
        cost: mean cost; None where the data hold none.
        arm_shares: mean probability of each arm.
        by_seed: the value of each seed.
        effective_sample_size: decisions of this policy that a seed's test log is worth, the least of the seeds; None
            where nothing was weighted.
    """

    name: str
    kind: Kind
    estimator: str
    difference: Estimate | None
    regret: Estimate | None
    cost: Estimate | None
    arm_shares: dict[str, float]
    by_seed: tuple[float, ...]
    effective_sample_size: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint(Estimate):
    """A policy's value after learning from part of the training rows (their number is a mean over seeds)."""

    name: str
    estimator: str
    train_share: float
    n_train: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedRow:
    """A candidate that one estimator does not value.

    Attributes:
        name: of the policy, or "best fixed arm".
        estimator: the off-policy estimator's name.
        reason: why, in the first seed where it does not.
    """

    name: str
    estimator: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class Comparison(Results[ComparisonRow]):
    """Policies fitted and scored on disjoint rows, for several seeds.

    Attributes:
        rows: policies in the order given, for each estimator; then arms and oracle, or the logging policy.
        curves: learning curves, in order of training size.
        conclusion: the best policy against the best fixed arm.
        arm_names: of the data.
        learned_from: what the policies were shown.
        baseline: the row that differences refer to.
        seeds: each gave one division of the queries.
        n_rows: rows of the data.
        n_queries: queries of the data.
        n_left_out: rows without every arm's reward, which are trained on but not scored.
        test_share: see `ComparisonSettings`.
        confidence: see `ComparisonSettings`.
        n_bootstrap: see `ComparisonSettings`.
        notes: what the reader must know.
        segments: what policies earn in each segment, where `ComparisonSettings.by_segment` asks for it.
        cost_weight: see `ComparisonSettings`.
        refused: candidates that an estimator does not value, with the reason; the table shows them last.
    """

    kind: ClassVar[str] = "comparison"

    rows: tuple[ComparisonRow, ...]
    curves: tuple[CurvePoint, ...]
    conclusion: Conclusion
    arm_names: tuple[str, ...]
    learned_from: str
    baseline: str
    seeds: tuple[int, ...]
    n_rows: int
    n_queries: int
    n_left_out: int
    test_share: float
    confidence: float
    n_bootstrap: int
    notes: tuple[str, ...]
    refused: tuple[RefusedRow, ...] = ()
    segments: tuple[SegmentRow, ...] = ()
    cost_weight: float | None = None

    def row(self, name: str, estimator: str) -> ComparisonRow:
        """Return a candidate's row under one estimator; `comparison[name]` is that of the first."""
        for row in self.rows:
            if (row.name, row.estimator) == (name, estimator):
                return row
        known = ", ".join(f"{row.name} ({row.estimator})" for row in self.rows)
        raise KeyError(f"no row {name!r} under estimator {estimator!r}; there are {known}")

    @property
    def best(self) -> str:
        """Return the name of the best policy by the objective (total seconds, or the reward), the conclusion's."""
        return self.conclusion.policy

    def fit_best(
        self, policies: Mapping[str, Policy], data: Data | DataStream[Data], reward: Reward | None = None
    ) -> Policy:
        """Return a copy of the best policy, fitted to all rows; a linear one's default shrinkage is chosen on them.

        With a `cost_weight` it learns from rewards net of the costs, as it did in the comparison.

        Args:
            policies: as they were given to `compare`.
            data: all rows to learn from; those of a stream are learned batch by batch.
            reward: as it was given to `compare`.

        Raises:
            KeyError: if `best` is not among the policies.
            ValueError: if a reward is given for data without observations, or the data hold no costs to weigh.
        """
        if self.best not in policies:
            raise KeyError(f"the best policy {self.best!r} is not among {', '.join(policies)}")
        if reward is not None:
            if not isinstance(data, FullInformationData):
                raise ValueError("reward needs the stored observations of full information, and a log holds none")
            data = data.with_reward(reward)
        if isinstance(data, DataStream):
            return fit_batches(policies[self.best], data, self.cost_weight)
        data = net_of_costs(data, self.cost_weight)
        return shrunk(policies[self.best], data).fit(data)

    def pareto(self, estimator: str | None = None) -> tuple[ComparisonRow, ...]:
        """Return the policies and arms that no other beats in both cost and value, cheapest first.

        Raises:
            ValueError: if the data hold no costs.
        """
        first = estimator or self.rows[0].estimator
        shown = ("policy", "arm", "log")
        candidates = [row for row in self.rows if row.kind in shown and row.estimator in (first, "on policy")]
        priced = [(row.cost.value, -row.value, index) for index, row in enumerate(candidates) if row.cost]
        if not priced:
            raise ValueError("cost against quality needs costs, and the data hold none")
        front: list[ComparisonRow] = []
        for _, negative, index in sorted(priced):
            if not front or -negative > front[-1].value:
                front.append(candidates[index])
        return tuple(front)

    def table(self) -> Table:
        """Return one line a row, intervals in brackets, the conclusion last."""
        columns = self._columns()
        groups = [f"{row.kind} {row.estimator if row.kind == 'policy' else ''}" for row in self.rows]
        groups += ["refused"] * len(self.refused)
        lines = [tuple(_cell(row, field) for field in columns.values()) for row in self.rows]
        blank = ("",) * (len(columns) - 3)
        lines += [(row.name, row.estimator, "none", *blank) for row in self.refused]
        return Table(
            title=self._title(),
            headings=tuple(columns),
            lines=tuple(lines),
            sections=frozenset(index for index in range(1, len(groups)) if groups[index] != groups[index - 1]),
            remarks=tuple(self._remarks()),
            left=frozenset({"estimator"}),
        )

    def segment_table(self) -> Table:
        """Return one line a segment and policy; see `SegmentRow`.

        Raises:
            ValueError: if it was not asked for, or no segment is large enough.
        """
        return segment_table(self.segments, self.confidence)

    def _title(self) -> str:
        seeds = f"{len(self.seeds)} seed" + ("s" if len(self.seeds) > 1 else "")
        return (
            f"{self.n_queries} queries, {self.test_share:.0%} of them tested, {seeds}, {self.confidence:.0%} intervals"
        )

    def _columns(self) -> dict[str, str]:
        columns = {"name": "name", "estimator": "estimator", "value": "value", f"minus {self.baseline}": "difference"}
        for name, heading in (("regret", "regret"), ("cost", "cost"), ("effective_sample_size", "effective rows")):
            if any(getattr(row, name) is not None for row in self.rows):
                columns[heading] = name
        return columns

    def _remarks(self) -> list[str]:
        remarks = [f"policies learned from {self.learned_from}"]
        if self.n_left_out:
            remarks.append(f"{self.n_left_out} rows without every arm's reward were trained on but not scored")
        remarks += [f"{row.name}, {row.estimator}: no estimate: {row.reason}" for row in self.refused]
        return [*remarks, *self.notes, str(self.conclusion)]


def _cell(row: ComparisonRow, field: str) -> str:
    """Return a cell's text; costs, which may be tiny, in three significant digits."""
    if field == "value":
        return str(row)  # a row is the estimate of its value
    content = getattr(row, field)
    if content is None:
        return ""
    if field == "cost":
        return f"{content:.3g}"
    return f"{content:.0f}" if isinstance(content, float) else str(content)
