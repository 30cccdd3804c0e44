"""The result of `trade_off`: points of cost and quality, and the numbers that routing papers report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bandits.statistics.estimate import Estimate
from bandits.statistics.results import Results
from bandits.statistics.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeOffPoint(Estimate):
    """What a policy at one weight, or an arm, earns and costs.

    Attributes:
        name: of the policy or arm.
        value: mean reward.
        low: lower bound of its interval.
        high: upper bound of its interval.
        cost_weight: units of reward that a unit of cost is worth; None for an arm.
        cost: mean cost.
    """

    name: str
    cost_weight: float | None
    cost: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingNumbers(Estimate):
    """A policy's numbers over all weights, each with a bootstrap interval; None where one is not defined.

    The weak arm is that of the least mean cost, the strong arm that of the highest mean reward. q(c), the reward that
    mixing reaches at cost c, is the non-decreasing concave hull of the policy's points and the weak arm's.

    Attributes:
        name: of the policy.
        value: AIQ, the mean of q(c) over costs from the cheapest arm's to the dearest's.
        low: lower bound of its interval.
        high: upper bound of its interval.
        aiq_over_arms: AIQ minus that of the arms' own hull, which mixing arms without looking at the query reaches.
        apgr: mean of (q(c) - weak) / (strong - weak), in rewards, over costs c between the weak and the strong arm's.
        cpt_50: the least share of the way from the weak arm's cost to the strong one's at which half of the way in
            reward is reached; where all calls of an arm cost the same, the share of calls to the strong arm.
        cpt_80: the same for 80 % of the way.
        perf_gain: the highest reward of the policy's points over the strong arm's, minus 1.
        cost_save: 1 minus the least cost of the points that are at least as good as the strong arm over that arm's
            cost; 0 where there is none.
        pareto_dist: mean over the policy's points of the distance to the front of all policies and arms, axes divided
            by the arms' ranges (that scale is ours).

    `perf_gain` and `cost_save` take the best of several points on the rows that they are scored on, as the papers do,
    which flatters a little.

    Source: AIQ and the hull: Hu et al. 2024, RouterBench (arXiv:2403.12031). APGR and CPT: Ong et al. 2024, RouteLLM
    (arXiv:2406.18665), there of calls to one of two models. PerfGain, CostSave and ParetoDist: LLMRouterBench 2026
    (arXiv:2601.07206).
    """

    name: str
    aiq_over_arms: Estimate | None
    apgr: Estimate | None
    cpt_50: Estimate | None
    cpt_80: Estimate | None
    perf_gain: Estimate | None
    cost_save: Estimate | None
    pareto_dist: Estimate | None


_HEADINGS = {
    "AIQ": "value",
    "over the arms": "aiq_over_arms",
    "APGR": "apgr",
    "CPT(50%)": "cpt_50",
    "CPT(80%)": "cpt_80",
    "PerfGain": "perf_gain",
    "CostSave": "cost_save",
    "ParetoDist": "pareto_dist",
}


@dataclass(frozen=True, slots=True, repr=False)
class TradeOff(Results[RoutingNumbers]):
    """Cost against quality of policies fitted and scored on disjoint rows, for several seeds.

    Attributes:
        rows: each policy's numbers.
        points: each policy at each weight, weights ascending.
        arms: every arm always.
        estimator: of the values; "exact" on full information.
        seeds: each gave one division of the queries.
        n_queries: queries of the data.
        test_share: see `ComparisonSettings`.
        confidence: see `ComparisonSettings`.
        n_bootstrap: see `ComparisonSettings`.
        notes: what the reader must know.
    """

    kind: ClassVar[str] = "trade-off"

    rows: tuple[RoutingNumbers, ...]
    points: tuple[TradeOffPoint, ...]
    arms: tuple[TradeOffPoint, ...]
    estimator: str
    seeds: tuple[int, ...]
    n_queries: int
    test_share: float
    confidence: float
    n_bootstrap: int
    notes: tuple[str, ...] = ()

    def table(self) -> Table:
        """Return one line a policy, its numbers in columns."""
        undefined = [
            f"{row.name}: {heading} is not defined on these data: see RoutingNumbers"
            for row in self.rows
            for heading, field in _HEADINGS.items()
            if getattr(row, field) is None
        ]
        return Table(
            title=self._title("numbers over all weights of the cost"),
            headings=("name", *_HEADINGS),
            lines=tuple((row.name, *(_cell(row, field) for field in _HEADINGS.values())) for row in self.rows),
            remarks=(*self.notes, *undefined),
        )

    def points_table(self) -> Table:
        """Return one line a policy and weight, then the arms."""
        lines = [*self.points, *self.arms]
        names = [point.name for point in lines]
        starts = [index for index in range(1, len(names)) if names[index] != names[index - 1]]
        return Table(
            title=self._title("reward - weight * cost chosen by"),
            headings=("name", "weight", "value", "cost"),
            lines=tuple(
                (p.name, "always" if p.cost_weight is None else f"{p.cost_weight:.3g}", str(p), f"{p.cost:.3g}")
                for p in lines
            ),
            sections=frozenset(index for index in starts if index <= len(self.points)),
        )

    def _title(self, what: str) -> str:
        seeds = f"{len(self.seeds)} seed" + ("s" if len(self.seeds) > 1 else "")
        tested = f"{self.n_queries} queries, {self.test_share:.0%} tested, {seeds}"
        return f"{what}; {tested}, {self.confidence:.0%} intervals, {self.estimator}"


def _cell(row: RoutingNumbers, field: str) -> str:
    content = row if field == "value" else getattr(row, field)
    return "none" if content is None else f"{content:.3f}"
