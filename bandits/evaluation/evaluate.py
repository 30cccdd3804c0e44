"""Exact evaluation of policies on full-information data, with bootstrap intervals over queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from bandits.checks import Float64
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.evaluation.conclusion import Conclusion, conclude
from bandits.evaluation.evaluation import Evaluation, EvaluationRow
from bandits.evaluation.objective import NO_DRAFT, Objective, best_fixed_arm, learned, notes_on_costs, objective_of
from bandits.evaluation.segments import SegmentRow, query_segments, segment_rows
from bandits.off_policy.terms import TermSums
from bandits.policies.distributions import greedy
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.statistics.bootstrap import Bootstrap, sums_by_unit
from bandits.statistics.estimate import Estimate


def evaluate(
    policies: Policy | Mapping[str, Policy],
    data: FullInformationData,
    *,
    training_data: FullInformationData | None = None,
    baseline_arm: str | None = None,
    objective: Objective | None = None,
    bootstrap: Bootstrap | None = None,
) -> Evaluation:
    """Say what each policy, each fixed arm and the per-query oracle earn on held-out queries.

    Values are exact expectations over the policy's own probabilities, not draws. Intervals are
    bootstrap intervals over queries (rows that share a query id are drawn together), of Student's width for few; all
    rows of the table are resampled with the same draws, so that differences are paired, and a ratio's two sums are
    resampled together.

    Args:
        policies: by the name to print, or one alone; fitted, on other queries than those of `data`.
        data: held-out queries. Rows on which an arm is not observed are left out and counted.
        training_data: where given, rows are compared with the arm that was best there.
        baseline_arm: the arm that speed is compared with, for which `data` must hold costs (seconds); None takes
            `no_draft` where the data hold its seconds, and reports no speed elsewhere.
        objective: what the conclusion ranks by; see `objective_of`. "reward" leaves speed out.
        bootstrap: of the intervals; None draws 2,000 times with seed 0 for 95 %.

    Raises:
        ValueError: if a name is taken, a policy has an arm that the data lack, or no row is fully observed.
    """
    if not isinstance(data, FullInformationData):
        raise TypeError(f"data must be FullInformationData, got {data!r}: a log is for estimate")
    policies = named_policies(policies, {*data.arm_names, "oracle", "fastest"})
    bootstrap = bootstrap or Bootstrap()
    objective = "seconds" if objective is None and baseline_arm is not None else objective
    objective = objective_of(data, objective)
    rows = data.complete_rows()
    baseline = _baseline(rows, baseline_arm, objective)
    best = None if training_data is None else best_fixed_arm(training_data.select_arms(data.arm_names), objective)
    candidates = _candidates(policies, rows)
    figures = _Figures(rows, candidates, bootstrap, baseline)
    columns = figures.columns(best)
    return Evaluation(
        rows=tuple(_row(candidate, index, columns, rows.arm_names) for index, candidate in enumerate(candidates)),
        arm_names=rows.arm_names,
        n_rows=len(rows),
        n_queries=figures.n_queries,
        n_left_out=len(data) - len(rows),
        baseline_arm=baseline,
        best_fixed_arm=best,
        conclusion=figures.conclude(learned(policies), best or best_fixed_arm(rows, objective), objective),
        confidence=bootstrap.confidence,
        n_bootstrap=bootstrap.n_resamples,
        seed=bootstrap.seed,
        notes=notes_on_costs(data, training_data),
        segments=_by_segment(rows, candidates, best or best_fixed_arm(rows, objective), bootstrap),
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Something that chooses: (n, k) probabilities under a name."""

    name: str
    kind: Literal["policy", "arm", "oracle"]
    probabilities: Float64


def _baseline(rows: FullInformationData, baseline_arm: str | None, objective: Objective) -> str | None:
    if objective == "reward":
        if baseline_arm is not None:
            raise ValueError(f"baseline_arm {baseline_arm!r} is for speed, which objective 'reward' leaves out")
        return None
    if baseline_arm is None:
        return NO_DRAFT if NO_DRAFT in rows.arm_names else None
    if baseline_arm not in rows.arm_names:
        raise ValueError(f"baseline_arm {baseline_arm!r} is not among the arms {', '.join(rows.arm_names)}")
    return baseline_arm


def _candidates(policies: Mapping[str, Policy], rows: FullInformationData) -> list[_Candidate]:
    result = [_Candidate(name, "policy", rows.probabilities_of(policy)) for name, policy in policies.items()]
    one_hot = np.eye(rows.n_arms)
    for arm, name in enumerate(rows.arm_names):
        result.append(_Candidate(name, "arm", np.broadcast_to(one_hot[arm], rows.rewards.shape)))
    result.append(_Candidate("oracle", "oracle", greedy(rows.rewards, None)))
    if rows.costs is not None:
        result.append(_Candidate("fastest", "oracle", greedy(-rows.costs, None)))
    return result


def _by_segment(
    rows: FullInformationData, candidates: Sequence[_Candidate], fixed_arm: str, bootstrap: Bootstrap
) -> tuple[SegmentRow, ...]:
    segments, units = query_segments(rows), query_numbers(rows)
    if segments is None:
        return ()
    counts = np.bincount(units).astype(np.float64)

    def sums(candidate: _Candidate) -> list[TermSums]:
        expected = np.einsum("nk,nk->n", candidate.probabilities, rows.rewards)
        return [TermSums(np.bincount(units, expected).astype(np.float64), counts, counts, np.zeros(len(counts)))]

    named = {candidate.name: sums(candidate) for candidate in candidates if candidate.kind == "policy"}
    fixed = next(candidate for candidate in candidates if candidate.name == fixed_arm)
    return segment_rows(named, sums(fixed), [np.arange(len(counts))], segments, bootstrap)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Each figure of an evaluation row for every candidate; None where it is not defined."""

    value: list[Estimate]
    regret: list[Estimate]
    speedup: list[Estimate] | None
    slower_share: list[Estimate] | None
    difference: list[Estimate] | None


class _Figures:
    """Means of every candidate, from the data and from each resample, (1 + B, c) float64, all on the same draws."""

    def __init__(
        self, rows: FullInformationData, candidates: list[_Candidate], bootstrap: Bootstrap, baseline: str | None
    ) -> None:
        self._bootstrap, self._baseline = bootstrap, baseline
        self._place = {candidate.name: index for index, candidate in enumerate(candidates)}
        units = query_numbers(rows)
        self.n_queries = int(units.max()) + 1
        of_rows: dict[str, Float64] = {"reward": rows.rewards}
        if rows.costs is not None:
            of_rows["seconds"] = rows.costs
            if baseline is not None:
                of_rows["slower"] = (rows.costs > rows.costs[:, [rows.arm_names.index(baseline)]]).astype(np.float64)
        probabilities = np.stack([candidate.probabilities for candidate in candidates], axis=1)  # (n, c, k)
        expected = [np.einsum("nck,nk->nc", probabilities, values) for values in of_rows.values()]
        columns = np.concatenate([np.ones((len(rows), 1)), *expected], axis=1)
        sums = bootstrap.sums(sums_by_unit(columns, units, self.n_queries))
        parts = np.split(sums[:, 1:] / sums[:, :1], len(of_rows), axis=1)
        self._means: dict[str, Float64] = dict(zip(of_rows, parts, strict=True))

    def columns(self, best: str | None) -> _Columns:
        """Return the table's figures; difference is against the arm `best`."""
        rewards, estimates = self._means["reward"], partial(self._bootstrap.estimates, n_units=self.n_queries)
        speedup = slower_share = None
        if self._baseline is not None and "slower" in self._means:
            seconds = self._means["seconds"]
            if (seconds <= 0).any():
                raise ValueError("a speedup needs costs above 0, and a resampled total is 0: pass objective='reward'")
            speedup = estimates(self._of("seconds", self._baseline) / seconds)
            slower_share = [one.within(0.0, 1.0) for one in estimates(self._means["slower"])]
        return _Columns(
            value=estimates(rewards),
            regret=estimates(self._of("reward", "oracle") - rewards),
            speedup=speedup,
            slower_share=slower_share,
            difference=None if best is None else estimates(rewards - self._of("reward", best)),
        )

    def conclude(self, names: list[str], fixed_arm: str, objective: Objective) -> Conclusion | None:
        """Return the best of these policies against a fixed arm; None without policies."""
        if not names:
            return None
        policies = self._means[objective][:, [self._place[name] for name in names]]
        fixed = self._of(objective, fixed_arm)[:, 0]
        estimate = partial(self._bootstrap.estimate, n_units=self.n_queries)
        return conclude(names, policies, fixed, (fixed_arm,), objective, estimate)

    def _of(self, what: str, name: str) -> Float64:
        """Return (1 + B, 1) float64, one candidate's means."""
        return self._means[what][:, [self._place[name]]]


def _row(candidate: _Candidate, index: int, columns: _Columns, arm_names: tuple[str, ...]) -> EvaluationRow:
    value = columns.value[index]
    shares = candidate.probabilities.mean(axis=0).tolist()
    return EvaluationRow(
        value=value.value,
        low=value.low,
        high=value.high,
        name=candidate.name,
        kind=candidate.kind,
        regret=columns.regret[index],
        speedup=None if columns.speedup is None else columns.speedup[index],
        slower_share=None if columns.slower_share is None else columns.slower_share[index],
        difference=None if columns.difference is None else columns.difference[index],
        arm_shares=dict(zip(arm_names, shares, strict=True)),
    )
