"""The result of `evaluate`: one row a policy, a fixed arm or an oracle, with intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from bandits.evaluation.conclusion import Conclusion
from bandits.evaluation.segments import SegmentRow, segment_table
from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRow(Estimate):
    """What one policy, one fixed arm or an oracle earns on held-out queries.

    Attributes:
        name: of the policy or arm; "oracle" (best reward per query) or "fastest" (least seconds per query).
        kind: "policy", "arm", "oracle", or "rounds" for a choice at every round, which is no policy on queries.
        value: mean expected reward.
        low: lower bound of its interval.
        high: upper bound of its interval.
        regret: mean of the oracle's reward minus this one's.
        speedup: seconds of the baseline arm over all rows divided by expected seconds here (a ratio of sums).
        slower_share: share of queries on which the chosen arm takes longer than the baseline arm.
        difference: value minus that of the arm that was best in the training data, paired by query.
        arm_shares: mean probability of each arm; of "rounds", its share of all rounds.
    """

    name: str
    kind: Literal["policy", "rounds", "arm", "oracle"]
    regret: Estimate
    speedup: Estimate | None
    slower_share: Estimate | None
    difference: Estimate | None
    arm_shares: dict[str, float]


@dataclass(frozen=True, slots=True, repr=False)
class Evaluation(Results[EvaluationRow]):
    """The rows of an evaluation and how they were made.

    Attributes:
        rows: policies first, then a choice per round where there is one, then every fixed arm, then the oracle(s).
        arm_names: arms of the data.
        n_rows: rows that were evaluated.
        n_queries: queries that the bootstrap drew from.
        n_left_out: rows without every arm's reward, on which no exact value exists.
        baseline_arm: the arm that `speedup` and `slower_share` refer to; None where there is none, or no seconds.
        best_fixed_arm: best arm of the training data by the objective; None if none were given.
        conclusion: the best policy against the best fixed arm; None where no policy was evaluated.
        confidence: of the bootstrap.
        n_bootstrap: resamples of the bootstrap.
        seed: of the bootstrap.
        notes: what the reader must know.
        segments: what policies earn in each segment, where the data hold several `domains`.
    """

    kind: ClassVar[str] = "evaluation"

    rows: tuple[EvaluationRow, ...]
    arm_names: tuple[str, ...]
    n_rows: int
    n_queries: int
    n_left_out: int
    baseline_arm: str | None
    best_fixed_arm: str | None
    conclusion: Conclusion | None
    confidence: float
    n_bootstrap: int
    seed: int
    notes: tuple[str, ...] = ()
    segments: tuple[SegmentRow, ...] = ()

    def segment_table(self) -> Table:
        """Return one line a segment and policy; see `SegmentRow`.

        Raises:
            ValueError: if the data held no two domains, or no segment is large enough.
        """
        return segment_table(self.segments, self.confidence)

    def table(self) -> Table:
        """Return one line a row, intervals in brackets, the conclusion last."""
        columns = self._columns()
        kinds = [row.kind for row in self.rows]
        return Table(
            title=f"{self.n_queries} queries, {self.confidence:.0%} bootstrap intervals",
            headings=tuple(columns),
            lines=tuple(tuple(_cell(row, field) for field in columns.values()) for row in self.rows),
            sections=frozenset(index for index in range(1, len(kinds)) if kinds[index] != kinds[index - 1]),
            remarks=tuple(self._remarks()),
        )

    def _columns(self) -> dict[str, str]:
        columns = {"name": "name", "value": "value", "regret": "regret"}
        if self.baseline_arm is not None:
            columns |= {"speedup": "speedup", "slower share": "slower_share"}
        if self.best_fixed_arm is not None:
            columns |= {"difference": "difference"}
        return columns

    def _remarks(self) -> list[str]:
        remarks = []
        if self.baseline_arm is not None:
            remarks.append(f"speedup and slower share are against {self.baseline_arm}")
        if self.best_fixed_arm is not None:
            remarks.append(f"difference is against {self.best_fixed_arm}, the best arm of the training data")
        if self.n_left_out:
            remarks.append(f"{self.n_left_out} rows without every arm's reward were left out")
        if self.conclusion is not None:
            if self.best_fixed_arm is None:
                remarks.append("no training data were given: the fixed arm below is the best one of these very rows")
            remarks.append(str(self.conclusion))
        return [*self.notes, *remarks]


def _cell(row: EvaluationRow, field: str) -> str:
    if field == "value":
        return str(row)  # a row is the estimate of its value
    content = getattr(row, field)
    return "" if content is None else str(content)
