"""Exact evaluation of policies on full-information data, with bootstrap intervals over queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bandits.checks import Float64
from bandits.data.full_information_data import FullInformationData
from bandits.data.splits import query_numbers
from bandits.evaluation.evaluation import Evaluation, EvaluationRow
from bandits.policies.best_fixed_arm import BestFixedArm
from bandits.policies.policy import Policy, greedy
from bandits.statistics.resampling import resampled_sums
from bandits.statistics.value import Estimate


@dataclass(frozen=True, slots=True)
class _Candidate:
    """Something that chooses: (n, k) probabilities under a name."""

    name: str
    kind: Literal["policy", "arm", "oracle"]
    chances: Float64


def evaluate(
    policies: Mapping[str, Policy],
    data: FullInformationData,
    *,
    baseline_arm: str | None = "no_draft",
    n_bootstrap: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    training_data: FullInformationData | None = None,
) -> Evaluation:
    """Say what each policy, each fixed arm and the per-query oracle bring on held-out queries.

    Values are exact expectations over the policy's own probabilities, not draws. Intervals are percentile
    bootstrap intervals over queries (rows that share a query id are drawn together); all rows of the table
    are resampled with the same draws, so that differences are paired, and a ratio's two sums are resampled
    together.

    Args:
        policies: by the name to print; fitted, on other queries than those of `data`.
        data: held-out queries. Rows on which an arm is not observed are left out and counted. If they hold
            costs (seconds), speed against `baseline_arm` is reported.
        baseline_arm: an arm of the data; None leaves speed out. Without costs it is ignored.
        n_bootstrap: number of bootstrap samples.
        confidence: in (0, 1).
        seed: of the bootstrap.
        training_data: where given, values are compared with those of the arm that was best there.

    Raises:
        ValueError: if a name is taken, a policy has an arm that the data lack, or no row is fully observed.
    """
    if n_bootstrap < 1 or not 0 < confidence < 1:
        raise ValueError(f"n_bootstrap must be >= 1 and confidence in (0, 1), got {n_bootstrap} and {confidence}")
    rows = data.complete_rows()
    baseline = _baseline_index(data, baseline_arm)
    best = None if training_data is None else best_fixed_arm(training_data.select_arms(data.arm_names))
    candidates = _candidates(policies, rows)
    bootstrap = _Bootstrap(rows, n_bootstrap, confidence, seed)
    figures = _figures(candidates, rows, bootstrap, baseline, best)
    return Evaluation(
        rows=tuple(_row(candidate, index, figures, rows.arm_names) for index, candidate in enumerate(candidates)),
        arm_names=rows.arm_names,
        n_rows=len(rows),
        n_queries=bootstrap.n_queries,
        n_left_out=len(data) - len(rows),
        baseline_arm=None if baseline is None else baseline_arm,
        best_fixed_arm=best,
        confidence=confidence,
        n_bootstrap=n_bootstrap,
        seed=seed,
    )


def _row(
    candidate: _Candidate, index: int, figures: dict[str, list[Estimate] | None], arm_names: tuple[str, ...]
) -> EvaluationRow:
    own: dict[str, Any] = {name: estimates and estimates[index] for name, estimates in figures.items()}
    shares = dict(zip(arm_names, candidate.chances.mean(axis=0).tolist(), strict=True))
    return EvaluationRow(name=candidate.name, kind=candidate.kind, arm_shares=shares, **own)


def best_fixed_arm(data: FullInformationData) -> str:
    """Return the arm with the highest mean reward on the rows that observe it (the first of equals)."""
    policy = BestFixedArm().fit(data)
    return policy.arm_names[int(np.argmax(policy.mean_rewards()))]


def _baseline_index(data: FullInformationData, baseline_arm: str | None) -> int | None:
    if data.costs is None or baseline_arm is None:
        return None
    if baseline_arm not in data.arm_names:
        raise ValueError(
            f"baseline_arm {baseline_arm!r} is not among the arms {', '.join(data.arm_names)}: "
            "pass baseline_arm=, or None to leave speed out"
        )
    return data.arm_names.index(baseline_arm)


def _candidates(policies: Mapping[str, Policy], rows: FullInformationData) -> list[_Candidate]:
    taken = {*rows.arm_names, "oracle", "fastest"}
    for name in policies:
        if name in taken:
            raise ValueError(f"policy name {name!r} is that of an arm or an oracle: choose another")
    result = [_Candidate(name, "policy", rows.probabilities_of(policy)) for name, policy in policies.items()]
    one_hot = np.eye(rows.n_arms)
    for arm, name in enumerate(rows.arm_names):
        result.append(_Candidate(name, "arm", np.broadcast_to(one_hot[arm], rows.rewards.shape)))
    result.append(_Candidate("oracle", "oracle", greedy(rows.rewards, None)))
    if rows.costs is not None:
        result.append(_Candidate("fastest", "oracle", greedy(-rows.costs, None)))
    return result


def _figures(
    candidates: list[_Candidate],
    rows: FullInformationData,
    bootstrap: _Bootstrap,
    baseline: int | None,
    best: str | None,
) -> dict[str, list[Estimate] | None]:
    """Return each figure of an evaluation row for every candidate (None where it is not defined)."""
    names = [candidate.name for candidate in candidates]
    chances = np.stack([candidate.chances for candidate in candidates], axis=1)  # (n, c, k)
    columns = [np.einsum("nck,nk->nc", chances, rows.rewards)]
    if baseline is not None and rows.costs is not None:
        columns.append(np.einsum("nck,nk->nc", chances, rows.costs))
        columns.append(np.einsum("nck,nk->nc", chances, rows.costs > rows.costs[:, [baseline]]))
    count, values, *priced = bootstrap.sums([np.ones((len(rows), 1)), *columns])
    means = values / count
    figures: dict[str, list[Estimate] | None] = {
        "value": bootstrap.estimates(means),
        "regret": bootstrap.estimates(means[:, [names.index("oracle")]] - means),
        "speedup": None,
        "slower_share": None,
        "difference": None if best is None else bootstrap.estimates(means - means[:, [names.index(best)]]),
    }
    if baseline is None or not priced:
        return figures
    seconds, slower = priced
    if (seconds <= 0).any():
        raise ValueError("a speedup needs costs above 0, and a resampled total is 0: pass baseline_arm=None")
    figures["speedup"] = bootstrap.estimates(seconds[:, [names.index(rows.arm_names[baseline])]] / seconds)
    figures["slower_share"] = bootstrap.estimates(slower / count)
    return figures


class _Bootstrap:
    """Draws queries with replacement; every sum is taken over the same draws."""

    def __init__(self, rows: FullInformationData, n_bootstrap: int, confidence: float, seed: int) -> None:
        self._query = query_numbers(rows)
        self.n_queries = int(self._query.max()) + 1
        self._tail = (1 - confidence) / 2
        self._n_bootstrap, self._seed = n_bootstrap, seed

    def sums(self, columns: list[Float64]) -> list[Float64]:
        """Return, for each (n, c), the sums over the data and over each bootstrap sample: (1 + B, c) float64."""
        joined = np.concatenate(columns, axis=1)
        per_query = np.zeros((self.n_queries, joined.shape[1]))
        np.add.at(per_query, self._query, joined)
        resampled = resampled_sums(per_query, self._n_bootstrap, np.random.default_rng(self._seed))
        whole = np.concatenate([per_query.sum(axis=0, keepdims=True), resampled])
        return np.split(whole, np.cumsum([part.shape[1] for part in columns])[:-1], axis=1)

    def estimates(self, figures: Float64) -> list[Estimate]:
        """Return a figure with its percentile interval for each column of (1 + B, c)."""
        low, high = np.quantile(figures[1:], [self._tail, 1 - self._tail], axis=0)
        return [Estimate(float(v), float(lo), float(hi)) for v, lo, hi in zip(figures[0], low, high, strict=True)]
