"""Compare policies on data: each is fitted and scored on disjoint rows, for several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np

from bandits.checks import Float64
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.data.splits import query_numbers
from bandits.evaluation.comparison import Comparison, ComparisonRow, CurvePoint
from bandits.evaluation.task import LOGGING_POLICY, ORACLE, ComparisonSettings, ComparisonTask, Scores
from bandits.off_policy.estimators import IPS, SNIPS, DoublyRobust, OffPolicyEstimator
from bandits.off_policy.terms import values_of
from bandits.policies.policy import Data, Policy
from bandits.seeds import SeedTree
from bandits.statistics.two_way_bootstrap import TwoWayBootstrap


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One line of the table or point of a curve: the scores of every seed."""

    scores: tuple[Scores, ...]

    @property
    def first(self) -> Scores:
        return self.scores[0]


def compare(
    policies: Mapping[str, Policy],
    data: Data,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    estimators: Sequence[OffPolicyEstimator] | None = None,
    *,
    baseline: str | None = None,
    settings: ComparisonSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Say which policy is better on queries it was not trained on, and how sure that is.

    Each seed divides the queries anew; each policy is fitted to the training part (a fresh copy: the policies given
    are not changed) and scored on the rest. On full information scores are exact expectations and every fixed arm
    and the per-query oracle stand beside the policies; on a log they are off-policy estimates.

    Intervals are percentile intervals of a bootstrap that draws seeds and queries independently, each with
    replacement, the same draws for every row of the table, so differences are paired and ratios resampled whole.
    They cover which queries are met, and the luck of division, logging and training; not that another data set
    might be trained on. On normal rewards 90 % intervals held the truth in 93 to 95 % of 300 data sets with 3 to 10
    seeds and in 88 % with one.

    Args:
        policies: by the name to print; unfitted ones will do.
        data: `FullInformationData` or `LoggedData`.
        seeds: different integers >= 0. Whatever is random in a policy is seeded from them too.
        estimators: for a log, the one to trust most first; None takes DoublyRobust, SNIPS and IPS.
        baseline: the policy, arm or "logging policy" that differences refer to; None takes the first policy.
        settings: shares, logging policy, intervals, processes.
        on_progress: is told after each piece of work how many are done, and of how many.

    Raises:
        ValueError: if a name is taken or unknown, seeds repeat, there is too little data, or a log took one arm only.

    Source: intervals: Owen 2007, The pigeonhole bootstrap (arXiv:0712.1111), equation 3.
    """
    settings = settings or ComparisonSettings()
    chosen = tuple(estimators) if estimators is not None else (DoublyRobust(), SNIPS(), IPS())
    _check(policies, data, seeds, chosen, settings)
    baseline = _checked_baseline(policies, data, baseline)
    if isinstance(data, FullInformationData):
        data = replace(data, observations=None)  # not needed, and large to send to other processes
    tasks = [
        ComparisonTask(data, settings, chosen, seed, name, policy)
        for seed in seeds
        for name, policy in [*policies.items(), (None, None)]
    ]
    results: list[list[Scores]] = []
    with _mapper(settings.n_jobs, tasks) as scored:
        for result in scored:
            results.append(result)
            if on_progress is not None:
                on_progress(len(results), len(tasks))
    candidates = _grouped([scores for result in results for scores in result])
    return _comparison(candidates, data, tuple(seeds), baseline, settings)


def _check(
    policies: Mapping[str, Policy],
    data: Data,
    seeds: Sequence[int],
    estimators: tuple[OffPolicyEstimator, ...],
    settings: ComparisonSettings,
) -> None:
    if not policies:
        raise ValueError("compare needs at least one policy, got none")
    taken = _references(data)
    for name, policy in policies.items():
        if name in taken:
            raise ValueError(f"policy name {name!r} is that of an arm or of a row that compare adds: choose another")
        if not isinstance(policy, Policy):
            raise TypeError(f"policy {name!r} must be a Policy, got {policy!r}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    for seed in seeds:
        SeedTree(seed)
    if not isinstance(data, LoggedData):
        return
    if settings.logging_policy is not None:
        raise ValueError("logging_policy is for full information: the data are a log already")
    names = [estimator.name for estimator in estimators]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"estimators must be one or more with different names, got {names}")
    taken_arms = np.unique(data.actions)
    if len(taken_arms) == 1:
        raise ValueError(f"the log took arm {data.arm_names[int(taken_arms[0])]!r} only: it cannot compare policies")


def _references(data: Data) -> tuple[str, ...]:
    """Return the names of the rows that compare adds."""
    return (LOGGING_POLICY,) if isinstance(data, LoggedData) else (*data.arm_names, ORACLE)


def _checked_baseline(policies: Mapping[str, Policy], data: Data, baseline: str | None) -> str:
    known = [*policies, *_references(data)]
    if baseline is not None and baseline not in known:
        raise ValueError(f"baseline must be one of {', '.join(known)}, got {baseline!r}")
    return known[0] if baseline is None else baseline


@contextmanager
def _mapper(n_jobs: int, tasks: list[ComparisonTask]) -> Iterator[Iterator[list[Scores]]]:
    """Yield each task's result in order, computed here or in other processes."""
    if n_jobs == 1:
        yield map(ComparisonTask.run, tasks)
        return
    # spawn: a forked process may hang in a BLAS or torch that has threads already
    with ProcessPoolExecutor(min(n_jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        try:
            yield pool.map(ComparisonTask.run, tasks)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _grouped(scores: list[Scores]) -> list[_Candidate]:
    """Join the seeds of each candidate; policies of an estimator together, references last."""
    groups: dict[tuple[str, str, float], list[Scores]] = {}
    for one in scores:
        groups.setdefault((one.name, one.estimator, one.train_share), []).append(one)
    candidates = [_Candidate(tuple(group)) for group in groups.values()]
    estimators = list(dict.fromkeys(candidate.first.estimator for candidate in candidates))
    kinds = ("policy", "arm", "oracle", "log")
    return sorted(candidates, key=lambda c: (kinds.index(c.first.kind), estimators.index(c.first.estimator)))


def _comparison(
    candidates: list[_Candidate], data: Data, seeds: tuple[int, ...], baseline: str, settings: ComparisonSettings
) -> Comparison:
    n_queries = int(query_numbers(data).max()) + 1
    resampled = _Resampled(candidates, TwoWayBootstrap(n_queries, seeds, settings.n_bootstrap, settings.confidence))
    full = [index for index, candidate in enumerate(candidates) if candidate.first.train_share == 1]
    learners = [index for index, candidate in enumerate(candidates) if candidate.first.kind == "policy"]
    return Comparison(
        rows=tuple(resampled.row(index, full, baseline, data.arm_names) for index in full),
        curves=tuple(resampled.curve_point(index) for index in learners),
        arm_names=data.arm_names,
        learned_from=_learned_from(data, settings),
        baseline=baseline,
        seeds=seeds,
        n_rows=len(data),
        n_queries=n_queries,
        n_left_out=int((~data.complete).sum()) if isinstance(data, FullInformationData) else 0,
        test_share=settings.test_share,
        confidence=settings.confidence,
        n_bootstrap=settings.n_bootstrap,
        notes=_notes(candidates, data),
    )


class _Resampled:
    """Every candidate's value and cost, from the data and from each resample."""

    def __init__(self, candidates: list[_Candidate], bootstrap: TwoWayBootstrap) -> None:
        self._candidates, self._bootstrap = candidates, bootstrap
        tested = [scores.queries for scores in candidates[0].scores]
        self._values = bootstrap.figures([[scores.reward for scores in c.scores] for c in candidates], tested)
        self._costs: Float64 | None = None
        costs = [[scores.cost for scores in c.scores if scores.cost is not None] for c in candidates]
        if all(len(of_seed) == len(tested) for of_seed in costs):
            self._costs = bootstrap.figures(costs, tested)

    def row(self, index: int, full: list[int], baseline: str, arm_names: tuple[str, ...]) -> ComparisonRow:
        """Return a line of the table; `full` are the candidates that learned from all training rows."""
        candidate, values, estimate = self._candidates[index], self._values, self._bootstrap.estimate
        base = _baseline_index(self._candidates, full, baseline, candidate)
        oracle = next((i for i in full if self._candidates[i].first.kind == "oracle"), None)
        shares = np.mean([scores.arm_shares for scores in candidate.scores], axis=0)
        sizes = [s.effective_sample_size for s in candidate.scores if s.effective_sample_size is not None]
        return ComparisonRow(
            name=candidate.first.name,
            kind=candidate.first.kind,
            estimator=candidate.first.estimator,
            value=estimate(values[:, index]),
            difference=None if base is None else estimate(values[:, index] - values[:, base]),
            regret=None if oracle is None else estimate(values[:, oracle] - values[:, index]),
            cost=None if self._costs is None else estimate(self._costs[:, index]),
            arm_shares=dict(zip(arm_names, shares.tolist(), strict=True)),
            by_seed=tuple(float(values_of(s.reward.sum(axis=0)[None])[0]) for s in candidate.scores),
            effective_sample_size=min(sizes, default=None),
        )

    def curve_point(self, index: int) -> CurvePoint:
        """Return a policy's value at one training size."""
        candidate = self._candidates[index]
        return CurvePoint(
            name=candidate.first.name,
            estimator=candidate.first.estimator,
            train_share=candidate.first.train_share,
            n_train=float(np.mean([scores.n_train for scores in candidate.scores])),
            value=self._bootstrap.estimate(self._values[:, index]),
        )


def _baseline_index(candidates: list[_Candidate], full: list[int], baseline: str, candidate: _Candidate) -> int | None:
    """Return the baseline's place under the candidate's estimator; a reference stands for all estimators."""
    named = [index for index in full if candidates[index].first.name == baseline]
    same = [index for index in named if candidates[index].first.estimator == candidate.first.estimator]
    if same:
        return same[0]
    return named[0] if candidates[named[0]].first.kind != "policy" else None


def _learned_from(data: Data, settings: ComparisonSettings) -> str:
    if isinstance(data, LoggedData):
        return "the log"
    if settings.logging_policy is None:
        return "every arm's reward"
    return f"bandit feedback that {type(settings.logging_policy).__name__} would have logged"


def _notes(candidates: list[_Candidate], data: Data) -> tuple[str, ...]:
    notes = []
    if isinstance(data, LoggedData) and data.propensities_estimated:
        notes.append("the log's propensities were estimated, not recorded: all values rest on that estimate")
    for candidate in candidates:
        if candidate.first.train_share != 1:
            continue
        for note in dict.fromkeys(note for scores in candidate.scores for note in scores.notes):
            notes.append(f"{candidate.first.estimator}: {note}")
        bad = [scores for scores in candidate.scores if scores.problems]
        if bad:
            notes.append(
                f"{candidate.first.name}: the log cannot support an estimate in {len(bad)} of "
                f"{len(candidate.scores)} seeds; in the first: {'; '.join(bad[0].problems)}"
            )
    return tuple(dict.fromkeys(notes))
