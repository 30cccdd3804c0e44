"""Compare policies on data: each is fitted and scored on disjoint rows, for several seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from arms.executors import Executor, Failed
from bandits.data.array_data import Data
from bandits.data.data_stream import DataStream
from bandits.data.full_information_data import FullInformationData
from bandits.data.logged_data import LoggedData
from bandits.evaluation.arm_change import notes_on_changes
from bandits.evaluation.comparison import Comparison, RefusedRow
from bandits.evaluation.conclusion import Conclusion
from bandits.evaluation.cost_units import notes_on_units
from bandits.evaluation.objective import (
    Objective,
    learned,
    net_of_costs,
    notes_on_costs,
    notes_on_propensities,
    objective_of,
)
from bandits.evaluation.resampled import Resampled, ScoredCandidate, grouped, notes_on, refused_rows
from bandits.evaluation.scores import BEST_BY_SEGMENT, BEST_FIXED, LOGGING_POLICY, ORACLE, RefusedScores, Scores
from bandits.evaluation.segments import SegmentRow, query_segments, segments_of
from bandits.evaluation.settings import ComparisonSettings
from bandits.evaluation.streamed_comparison import Counts, StreamTask, StreamWork, check_streamed, counted
from bandits.evaluation.task import ComparisonTask, ComparisonWork
from bandits.policies.named_policies import named_policies
from bandits.policies.policy import Policy
from bandits.seeds import SeedTree
from bandits.statistics.bootstrap import Bootstrap

if TYPE_CHECKING:
    from rewards import Reward


Task = TypeVar("Task", contravariant=True)


class _Work(Protocol[Task]):
    """What an executor does for each task."""

    def __call__(self, task: Task) -> list[Scores | RefusedScores]: ...

    def scores_or_refusal(self, task: Task) -> list[Scores | RefusedScores] | ValueError: ...


def compare(
    policies: Policy | Mapping[str, Policy],
    data: Data | DataStream[Data],
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    reward: Reward | None = None,
    settings: ComparisonSettings | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Say which policy is better on queries it was not trained on, and how sure that is.

    Each seed divides the queries anew; each policy is fitted to the training part (a fresh copy: the policies given
    are not changed) and scored on the rest. On full information scores are exact expectations and every fixed arm
    and the per-query oracle stand beside the policies; on a log they are off-policy estimates. Beside both stand the
    arm that was best on the training part, and, where the data hold several `domains`, the best one of each.

    A linear policy that was left at its class's `prior_precision` gets the one that `choose_prior_precision` takes on
    each training part, also inside another policy; one that was given another value keeps it.

    Intervals are percentile intervals of a bootstrap that draws seeds and queries independently, each with
    replacement, the same draws for every row of the table, so differences are paired and both sums of a ratio are
    resampled together. They cover which queries are met, and the luck of division, logging and training; not that
    another data set might be trained on. They are widened as Student's distribution asks for few queries. Between
    policies of equal value they claimed a difference in 5.0 to 5.1 % of 1,000 data sets with one seed, and in 2.2 % or
    fewer with two or five (examples/benchmarks/bench_type_one_error.py).

    Args:
        policies: by the name to print, or one alone; unfitted ones will do.
        data: `FullInformationData` or `LoggedData`, in memory or a stream of either. A stream is read twice for each
            seed, in memory that grows only with what policies keep. A reward model is fitted to each batch, a linear
            policy's shrinkage is chosen on the first one, whose notes stand for all; no "best arm by segment".
        seeds: different integers >= 0. Whatever is random in a policy is seeded from them too.
        reward: value the stored observations by this reward first; needs full information that holds them.
        settings: shares, logging policy, estimators, objective, baseline, intervals, executor.
        on_progress: is called after each piece of work with how many are done, and of how many.

    Raises:
        ValueError: if a name is taken or unknown, seeds repeat, there is too little data, a log took one arm only, no
            estimator values every policy, a policy fails, or `reward` is given for data without observations. An
            estimator that is not defined for one policy says why in that row.
        RuntimeError: if an executor's worker dies, or its result cannot travel; the message says of which task.

    Source: intervals: Owen 2007, The pigeonhole bootstrap (arXiv:0712.1111), equation 3.
    """
    settings = settings or ComparisonSettings()
    if not isinstance(data, FullInformationData | LoggedData | DataStream):
        raise TypeError(f"data must be FullInformationData, LoggedData or a stream of either, got {data!r}")
    data = _scored_data(data, reward, settings)
    counts = counted(data)
    references = _references(counts.first, streamed=isinstance(data, DataStream))
    policies = _checked_policies(policies, references)
    _check(data, seeds, settings)
    objective = objective_of(counts.first, settings.objective if settings.cost_weight is None else "reward")
    baseline = _checked_baseline(policies, references, settings.baseline)
    n_tasks, results = _results(policies, data, seeds, settings, objective)
    scores: list[Scores | RefusedScores] = []
    for n_done, result in enumerate(results, start=1):
        scores += result
        if on_progress is not None:
            on_progress(n_done, n_tasks)
    candidates, refused = grouped(scores), refused_rows(scores)
    bootstrap = Bootstrap(n_resamples=settings.n_bootstrap, confidence=settings.confidence, seed=min(seeds))
    resampled = Resampled(candidates, counts.n_units, bootstrap)
    return Comparison(
        rows=resampled.rows(baseline, data.arm_names),
        curves=resampled.curves(),
        conclusion=_conclusion(resampled, learned(policies), objective, refused),
        arm_names=data.arm_names,
        learned_from=_learned_from(counts.first, settings),
        baseline=baseline,
        seeds=tuple(seeds),
        n_rows=counts.n_rows,
        n_queries=counts.n_queries,
        n_left_out=counts.n_left_out,
        test_share=settings.test_share,
        confidence=settings.confidence,
        n_bootstrap=settings.n_bootstrap,
        notes=_notes(candidates, counts, settings.cost_weight),
        refused=refused,
        segments=_by_segment(resampled, counts.first) if settings.by_segment else (),
        cost_weight=settings.cost_weight,
    )


def _results(
    policies: Mapping[str, Policy],
    data: Data | DataStream[Data],
    seeds: Sequence[int],
    settings: ComparisonSettings,
    objective: Objective,
) -> tuple[int, Iterator[list[Scores | RefusedScores]]]:
    """Return the number of pieces of work, and the result of each: of a stream a seed, else a seed and a policy."""
    here = replace(settings, executor=None)
    if isinstance(data, DataStream):
        passes = [StreamTask(seed) for seed in seeds]
        return len(passes), _scored(StreamWork(data, policies, here, objective), passes, settings.executor)
    valued = net_of_costs(data, settings.cost_weight)
    everything = [*policies.items(), (None, None)]
    tasks = [ComparisonTask(seed, name, policy) for seed in seeds for name, policy in everything]
    return len(tasks), _scored(ComparisonWork(valued, here, objective), tasks, settings.executor)


def _by_segment(resampled: Resampled, data: Data) -> tuple[SegmentRow, ...]:
    segments = query_segments(data)
    if segments is None:
        raise ValueError("by_segment needs two different domains in the data: give each row the label of its segment")
    return resampled.by_segment(segments)


def _conclusion(
    resampled: Resampled, policies: Sequence[str], objective: Objective, refused: Sequence[RefusedRow]
) -> Conclusion:
    try:
        return resampled.conclusion(policies, objective)
    except ValueError as error:
        reasons = "; ".join(f"{row.name}, {row.estimator}: {row.reason}" for row in refused)
        raise ValueError(f"{error}: {reasons}" if reasons else str(error)) from error


def _check(data: Data | DataStream[Data], seeds: Sequence[int], settings: ComparisonSettings) -> None:
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds must be one or more different integers, got {list(seeds)}")
    for seed in seeds:
        SeedTree(seed)
    if not isinstance(data, LoggedData):
        return
    if settings.logging_policy is not None:
        raise ValueError("logging_policy is for full information: the data are a log already")
    taken_arms = np.unique(data.actions)
    if len(taken_arms) == 1:
        raise ValueError(f"the log took arm {data.arm_names[int(taken_arms[0])]!r} only: it cannot compare policies")


def _references(data: Data, *, streamed: bool) -> tuple[str, ...]:
    """Return the names of the rows that compare adds."""
    known = (BEST_BY_SEGMENT,) if segments_of(data) is not None and not streamed else ()
    return (BEST_FIXED, *known, *((LOGGING_POLICY,) if isinstance(data, LoggedData) else (*data.arm_names, ORACLE)))


def _checked_policies(policies: Policy | Mapping[str, Policy], references: Sequence[str]) -> dict[str, Policy]:
    named = named_policies(policies, references)
    if not named:
        raise ValueError("compare needs at least one policy, got none")
    return named


def _checked_baseline(policies: Mapping[str, Policy], references: Sequence[str], baseline: str | None) -> str:
    known = [*policies, *references]
    if baseline is not None and baseline not in known:
        raise ValueError(f"baseline must be one of {', '.join(known)}, got {baseline!r}")
    return known[0] if baseline is None else baseline


def _scored_data(
    data: Data | DataStream[Data], reward: Reward | None, settings: ComparisonSettings
) -> Data | DataStream[Data]:
    """Return the data under the reward, without the observations, which are large to send to other processes."""
    if isinstance(data, DataStream):
        check_streamed(settings, reward)
        return data
    if isinstance(data, FullInformationData):
        return replace(data if reward is None else data.with_reward(reward), observations=None)
    if reward is not None:
        raise ValueError("reward needs the stored observations of full information, and a log holds none")
    return data


def _scored(
    work: _Work[Task], tasks: Sequence[Task], executor: Executor | None
) -> Iterator[list[Scores | RefusedScores]]:
    """Yield each task's result in order, computed here or where the executor runs it."""
    if executor is None:
        yield from map(work, tasks)
        return
    for task, result in zip(tasks, executor.map(work.scores_or_refusal, tasks), strict=True):
        if isinstance(result, ValueError):
            raise result
        if isinstance(result, Failed):
            raise RuntimeError(f"{task} gave no scores: {result.reason}")
        yield result


def _learned_from(data: Data, settings: ComparisonSettings) -> str:
    if isinstance(data, LoggedData):
        return "the log"
    if settings.logging_policy is None:
        return "every arm's reward"
    return f"bandit feedback that {type(settings.logging_policy).__name__} would have logged"


def _notes(candidates: Sequence[ScoredCandidate], counts: Counts, cost_weight: float | None) -> tuple[str, ...]:
    data = counts.first
    whole = len(data) == counts.n_rows  # a part shows no end
    changes = notes_on_changes(net_of_costs(data, cost_weight)) if whole else ()
    notes = notes_on(candidates)
    if cost_weight is not None:
        notes.insert(0, f"the reward is reward - {cost_weight:g} * cost")
    units = notes_on_units(data, () if cost_weight is None else (cost_weight,))
    return (*notes_on_costs(data), *units, *notes_on_propensities(data), *changes, *notes)
