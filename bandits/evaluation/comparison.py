"""The result of `compare`: a row a candidate, learning curves; JSON, table and plots."""

from __future__ import annotations

from dataclasses import dataclass
from io import StringIO
from typing import ClassVar, cast

from rich.console import Console
from rich.table import Table

from bandits.statistics.saved_result import SavedResult
from bandits.statistics.value import Estimate

_FIGURES = ("value", "difference", "regret", "cost")
_RIGHT = (*_FIGURES, "effective_sample_size")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """What one candidate brings on queries that it was not trained on.

    Attributes:
        name: of the policy or arm, "oracle" (best reward per query) or "logging policy".
        kind: "policy", "arm", "oracle" or "log".
        estimator: of the value: "exact" on full information, "on policy" for the log itself, else the
            off-policy estimator's name.
        value: mean reward over seeds and test queries.
        difference: value minus the baseline's under the same estimator, paired by seed and query.
        regret: the oracle's value minus this one's, paired; None on a log, where no oracle is known.
        cost: mean cost; None where the data hold none.
        arm_shares: mean probability of each arm.
        by_seed: the value of each seed.
        effective_sample_size: decisions of this policy that a seed's test log is worth, the least of the seeds; None
            where nothing was weighted.
    """

    name: str
    kind: str
    estimator: str
    value: Estimate
    difference: Estimate | None
    regret: Estimate | None
    cost: Estimate | None
    arm_shares: dict[str, float]
    by_seed: tuple[float, ...]
    effective_sample_size: float | None = None


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A policy's value after learning from part of the training rows (their number is a mean over seeds)."""

    name: str
    estimator: str
    train_share: float
    n_train: float
    value: Estimate


@dataclass(frozen=True, slots=True)
class Comparison(SavedResult):
    """Policies fitted and scored on disjoint rows, for several seeds.

    Attributes:
        rows: policies in the order given, for each estimator; then arms and oracle, or the logging policy.
        curves: learning curves, in order of training size.
        arm_names: of the data.
        learned_from: what the policies were shown.
        baseline: the row that differences refer to.
        seeds: each gave one division of the queries.
        n_rows, n_queries: in the data.
        n_left_out: rows without every arm's reward, which are trained on but not scored.
        test_share, confidence, n_bootstrap: see `ComparisonSettings`.
        notes: what the reader must know.
    """

    kind: ClassVar[str] = "comparison"

    rows: tuple[ComparisonRow, ...]
    curves: tuple[CurvePoint, ...]
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

    def row(self, name: str, estimator: str | None = None) -> ComparisonRow:
        """Return a candidate's row (by the first estimator, unless one is named)."""
        for row in self.rows:
            if row.name == name and estimator in (None, row.estimator):
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(dict.fromkeys(row.name for row in self.rows))}")

    def best(self) -> ComparisonRow:
        """Return the policy of highest value (by the first estimator)."""
        policies = [row for row in self.rows if row.kind == "policy"]
        return max((row for row in policies if row.estimator == policies[0].estimator), key=lambda row: row.value.value)

    def pareto(self, estimator: str | None = None) -> tuple[ComparisonRow, ...]:
        """Return the policies and arms that no other beats in both cost and value, cheapest first.

        Raises:
            ValueError: if the data hold no costs.
        """
        first = estimator or self.rows[0].estimator
        candidates = [row for row in self.rows if row.kind != "oracle" and row.estimator in (first, "on policy")]
        priced = [(row.cost.value, -row.value.value, index) for index, row in enumerate(candidates) if row.cost]
        if not priced:
            raise ValueError("cost against quality needs costs, and the data hold none")
        front: list[ComparisonRow] = []
        for _, negative, index in sorted(priced):
            if not front or -negative > front[-1].value.value:
                front.append(candidates[index])
        return tuple(front)

    def table(self) -> Table:
        """Return a rich table: one line a row, intervals in brackets."""
        table = Table(title=self._title(), title_justify="left")
        columns = self._columns()
        for heading in columns:
            table.add_column(heading, justify="right" if columns[heading] in _RIGHT else "left", no_wrap=True)
        before = self.rows[0]
        for row in self.rows:
            if (row.kind, row.estimator) != (before.kind, before.estimator):
                table.add_section()
            before = row
            table.add_row(*self._cells(row))
        return table

    def to_text(self) -> str:
        """Return the table as plain text, and what the reader must know about it."""
        console = Console(file=StringIO(), width=220, color_system=None)
        console.print(self.table())
        table = cast("StringIO", console.file).getvalue().rstrip()
        return "\n".join([table, *self._remarks()])

    def to_markdown(self) -> str:
        """Return the table as Markdown."""
        columns = self._columns()
        lines = [f"**{self._title()}**", "", "| " + " | ".join(columns) + " |"]
        lines.append("|" + "|".join("---:" if field in _RIGHT else "---" for field in columns.values()) + "|")
        lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in self._cells(row)) + " |" for row in self.rows]
        return "\n".join([*lines, "", *(f"- {remark}" for remark in self._remarks())]) + "\n"

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

    def _cells(self, row: ComparisonRow) -> list[str]:
        return [_cell(getattr(row, field), field) for field in self._columns().values()]

    def _remarks(self) -> list[str]:
        remarks = [f"policies learned from {self.learned_from}"]
        if self.n_left_out:
            remarks.append(f"{self.n_left_out} rows without every arm's reward were trained on but not scored")
        return [*remarks, *self.notes]


def _cell(value: object, field: str) -> str:
    """Return a cell's text; costs, which may be tiny, in three significant digits."""
    if isinstance(value, Estimate) and field == "cost":
        return f"{value.value:.3g} [{value.low:.3g}, {value.high:.3g}]"
    if isinstance(value, float):
        return f"{value:.0f}"
    return "" if value is None else str(value)
