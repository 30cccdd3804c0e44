"""The result of `evaluate`: one row a policy, a fixed arm or an oracle, with intervals; JSON and table."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import ClassVar, Literal, cast

from rich.console import Console
from rich.table import Table

from bandits.statistics.saved_result import SavedResult
from bandits.statistics.value import Estimate


@dataclass(frozen=True, slots=True)
class EvaluationRow:
    """What one policy, one fixed arm or an oracle brings.

    Attributes:
        name: of the policy or arm; "oracle" (best reward per query) or "fastest" (least seconds per query).
        kind: "policy", "arm" or "oracle".
        value: mean expected reward.
        regret: mean of the oracle's reward minus this one's.
        speedup: seconds of the baseline arm over all rows divided by expected seconds here (a ratio of sums).
        slower_share: share of queries on which the pick takes longer than the baseline arm.
        difference: value minus that of the arm that was best in the training data, paired by query.
        arm_shares: mean probability of each arm.
    """

    name: str
    kind: Literal["policy", "arm", "oracle"]
    value: Estimate
    regret: Estimate
    speedup: Estimate | None
    slower_share: Estimate | None
    difference: Estimate | None
    arm_shares: dict[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation(SavedResult):
    """The rows of an evaluation and how they were made.

    Attributes:
        rows: policies first, then every fixed arm, then the oracle(s).
        arm_names: arms of the data.
        n_rows, n_queries: rows that were evaluated, and queries that the bootstrap drew from.
        n_left_out: rows without every arm's reward, on which no exact value exists.
        baseline_arm: the arm that `speedup` and `slower_share` refer to; None without costs.
        best_fixed_arm: best arm of the training data; None if none were given.
        confidence, n_bootstrap, seed: of the percentile bootstrap.
    """

    kind: ClassVar[str] = "evaluation"

    rows: tuple[EvaluationRow, ...]
    arm_names: tuple[str, ...]
    n_rows: int
    n_queries: int
    n_left_out: int
    baseline_arm: str | None
    best_fixed_arm: str | None
    confidence: float
    n_bootstrap: int
    seed: int

    def __getitem__(self, name: str) -> EvaluationRow:
        """Return the row of a policy, an arm or an oracle."""
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    def table(self) -> Table:
        """Return a rich table: one line a row, intervals in brackets."""
        percent = f"{self.confidence:.0%}"
        table = Table(title=f"{self.n_queries} queries, {percent} bootstrap intervals", title_justify="left")
        for heading in self._columns():
            table.add_column(heading, justify="left" if heading == "name" else "right", no_wrap=True)
        kind = self.rows[0].kind
        for row in self.rows:
            if row.kind != kind:
                table.add_section()
                kind = row.kind
            table.add_row(*(_cell(getattr(row, field)) for field in self._columns().values()))
        return table

    def to_text(self) -> str:
        """Return the table as plain text, and what the reader must know about it."""
        console = Console(file=StringIO(), width=200, color_system=None)
        console.print(self.table())
        lines = [cast("StringIO", console.file).getvalue().rstrip()]
        if self.baseline_arm is not None:
            lines.append(f"speedup and slower share are against {self.baseline_arm}")
        if self.best_fixed_arm is not None:
            lines.append(f"difference is against {self.best_fixed_arm}, the best arm of the training data")
        if self.n_left_out:
            lines.append(f"{self.n_left_out} rows without every arm's reward were left out")
        return "\n".join(lines)

    def _columns(self) -> dict[str, str]:
        columns = {"name": "name", "value": "value", "regret": "regret"}
        if self.baseline_arm is not None:
            columns |= {"speedup": "speedup", "slower share": "slower_share"}
        if self.best_fixed_arm is not None:
            columns |= {"difference": "difference"}
        return columns


def _cell(value: object) -> str:
    return "" if value is None else str(value)
