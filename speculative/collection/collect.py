"""Prompts in, full-information data out: what every arm of a pool would have brought on every query."""

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from arms import Executor, Query
from arms.atomic_file import remove_partial_files
from arms.folder_lock import FolderLock
from arms.manifest import check_manifest, digest_queries
from bandits import ContextEncoder, FullInformationData
from bandits.data import part_indices
from bandits.data.closed_folder import MANIFEST
from rewards import Reward
from rewards.named import DEFAULT_REWARD, make_reward
from speculative.collection.long_prompts import long_prompts
from speculative.collection.own_texts import OWN_TEXTS, are_whole, with_own_texts, write_missing, write_part
from speculative.collection.pool_work import ArmsAndEncoder, PoolWork, pool_facts
from speculative.collection.priced_folder import COSTS, keep_costs, made_of, stored_costs, whole_data, write_data
from speculative.collection.replay import Replayer, observe
from speculative.collection.settings import DEFAULT, CollectSettings
from speculative.collection.trace import Trace
from speculative.collection.trace_store import (
    TRACES,
    close_traces,
    missing_trace_parts,
    read_trace_parts,
    write_traces,
)
from speculative.collection.tracing import trace_part
from speculative.measuring.cost_profile import CostProfile
from speculative.targets.rule_arm import PoolArm
from speculative.targets.target_arm import target_of

PART_SIZE = 16


class CostsKeptWarning(UserWarning):
    """A collection keeps the cost profile that it was begun with, although another one was given."""


def collect(
    queries: Sequence[Query],
    pool: ArmsAndEncoder,
    folder: str | Path,
    costs: CostProfile,
    *,
    settings: CollectSettings = DEFAULT,
    on_progress: Callable[[int], None] | None = None,
) -> FullInformationData:
    """Generate the target's text once per query, trace every draft on it, store what each arm would bring.

    Work is done and written in parts of 16 queries. A stopped run goes on where it was when it is called again with the
    same queries, pool and settings; nothing written is lost, and the data cannot be loaded before all are there. A
    finished folder is read, never rewritten: it keeps the costs that priced it until `recost`; the drafts' own texts
    are added to it when they are asked for.

    Args:
        queries: at least one; ids are unique.
        pool: a `Pool`, or anything with `arms` of one target and the `encoder` that makes the contexts.
        folder: part files of `FullInformationData`; `traces/` inside it holds what replay needs, `own_texts/`
            what drafts write alone.
        costs: seconds on this machine, from `cached_costs`; a folder that was begun keeps its own (`stored_costs`).
        settings: what is done about prompts that are too long, noisy costs, and the drafts' own answers.
        on_progress: told how many more queries are traced, and then how many the drafts have answered alone.

    Returns:
        The data: rewards are seconds saved over no draft, costs are seconds.

    Raises:
        ValueError: if a prompt does not fit the target, ids repeat, the profile has faults, a part on disk is damaged
            or foreign, or the folder was begun with other queries, arms, models or another encoder: what they are
            counts (weights, settings, own source), not what they are called.
        RuntimeError: if the folder is in use, by another process or by another call of this one, or if a worker of an
            executor fails or dies.

    Warns:
        CostsKeptWarning: if the folder was begun with other costs, which it keeps.
        NoisyCostsWarning: naming the profile's faults, if they are allowed.
    """
    folder = Path(folder)
    arms, encoder = pool.arms, pool.encoder
    too_long = settings.too_long
    long_ids = long_prompts(queries, target_of(arms), too_long)
    facts = pool_facts(pool)
    asked = {  # all that the data depend on, except the costs
        "queries": digest_queries(queries),
        "too_long": {too_long: long_ids},
        **({"overlaps": True} if settings.overlaps else {}),
        **facts,
    }
    if too_long == "skip":
        left_out = set(long_ids)
        queries = [query for query in queries if query.id not in left_out]
    with closing(FolderLock(folder, "collection")):
        costs = _begin(folder, asked, costs, settings.allow_noisy_costs)
        remove_partial_files(folder)
        parts = [queries[begin : begin + PART_SIZE] for begin in range(0, len(queries), PART_SIZE)]
        truncate, tell, threads = too_long == "truncate", on_progress or (lambda _: None), settings.threads
        trace = partial(trace_part, truncate=truncate, overlaps=settings.overlaps)
        tracing = PoolWork(pool=pool, facts=facts, step=trace, threads=threads)
        _trace_missing(folder / TRACES, parts, tracing, settings.executor, tell)
        if settings.own_texts:
            writing = PoolWork(pool=pool, facts=facts, step=partial(write_part, truncate=truncate), threads=threads)
            write_missing(folder / OWN_TEXTS, parts, writing, settings.executor, tell)
        has_own = are_whole(folder / OWN_TEXTS)
        data = whole_data(folder)
        if data is None or (has_own and not made_of(folder).get(OWN_TEXTS)):
            traces = read_trace_parts(folder / TRACES)
            traces = with_own_texts(traces, folder / OWN_TEXTS) if has_own else traces
            priced = (
                data_from_traces(part, traced, arms, encoder, costs) for part, traced in zip(parts, traces, strict=True)
            )
            data = write_data(folder, priced, costs, {**asked, OWN_TEXTS: has_own})
        return data


def _trace_missing(
    folder: Path,
    parts: Sequence[Sequence[Query]],
    work: PoolWork[Trace],
    executor: Executor | None,
    on_progress: Callable[[int], None],
) -> None:
    """Trace the parts that are missing, and close the folder."""
    missing = missing_trace_parts(folder, len(parts))
    traced = work.over([parts[index] for index in missing], executor)
    for index, part in enumerate(parts):
        if index in missing:
            write_traces(folder, index, next(traced))
        on_progress(len(part))
    close_traces(folder)


def data_from_traces(
    queries: Sequence[Query],
    traces: Sequence[Trace],
    arms: Collection[PoolArm],
    encoder: ContextEncoder,
    costs: CostProfile,
    reward: Reward | None = None,
) -> FullInformationData:
    """Replay every arm on every trace; no model runs.

    Args:
        queries: what was traced, in order.
        traces: of these arms' drafts.
        arms: of one target.
        encoder: made the contexts.
        costs: seconds of a pass and of each draft.
        reward: value put on an observation; `DEFAULT_REWARD` by default.

    Raises:
        ValueError: if an arm's draft was not traced, or not that far, or the traces are of other queries.
    """
    target = target_of(arms)
    texts = [target.text(trace.new_ids) for trace in traces]
    observations = [
        tuple(observe(replayer, arm, text) for arm in arms)
        for replayer, text in zip((Replayer(trace, costs) for trace in traces), texts, strict=True)
    ]
    data = FullInformationData.from_observations(
        queries,
        observations,
        encoder=encoder,
        reward=reward or make_reward(DEFAULT_REWARD),
        arm_names=[arm.name for arm in arms],
        contexts=np.stack([trace.context for trace in traces]),
    )
    return replace(data, cost_profiles=(costs.digest,))


def _begin(folder: Path, asked: Mapping[str, object], costs: CostProfile, allow_noisy: bool) -> CostProfile:
    """Refuse to go on in a folder that was begun with something else, or by something else; return the costs to use."""
    path = folder / "collect.json"
    own = any((folder / name).exists() for name in (MANIFEST, COSTS))
    if not path.is_file() and (own or part_indices(folder)):
        raise ValueError(f"{folder} holds data that collect did not write; name another folder")
    stored = stored_costs(folder) if path.is_file() else None
    (stored or costs).check(allow_noisy=allow_noisy)
    check_manifest(path, asked)
    if stored is None:
        keep_costs(folder, costs)
        return costs
    if stored != costs:
        warnings.warn(
            f"{folder} keeps the cost profile that it was begun with, not the one given: recost prices it anew",
            CostsKeptWarning,
            stacklevel=3,
        )
    return stored
