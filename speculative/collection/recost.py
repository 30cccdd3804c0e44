"""The same traces, priced anew: rewards and seconds of another machine or a quieter hour, without a model."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np

from arms import Observation
from arms.folder_lock import FolderLock
from bandits import FullInformationData
from rewards.named import DEFAULT_REWARD, make_reward
from speculative.collection.arm_plan import ArmPlan, plan_of_facts
from speculative.collection.priced_folder import made_of, remove_older_generations, write_data
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.measuring.cost_profile import CostProfile


def recost(folder: str | Path, costs: CostProfile, *, allow_noisy_costs: bool = False) -> FullInformationData:
    """Price a finished collection with another profile; no model runs.

    The data become a new generation: until it is whole, whoever reads the folder sees the old data.

    Args:
        folder: that `collect` wrote and finished.
        costs: of every draft of the collection.
        allow_noisy_costs: price with a profile that is too noisy or contradicts itself, with a warning.

    Returns:
        The new data; rewards are seconds saved over no draft.

    Raises:
        ValueError: if the folder holds no finished collection or a damaged part, or the profile lacks a draft or has
            faults.
        RuntimeError: if the folder is in use.
    """
    folder = Path(folder)
    costs.check(allow_noisy=allow_noisy_costs)
    facts = made_of(folder)
    with closing(FolderLock(folder, "collection")):
        data = FullInformationData.load(folder)
        plans = [_plan(facts, name, folder) for name in data.arm_names]
        if data.cost_profiles == (costs.digest,):
            remove_older_generations(folder)
            return data
        parts, begin = [], 0
        for traces in read_trace_parts(folder / TRACES):
            rows = data.subset(np.arange(begin, begin + len(traces)))
            parts.append(_priced(rows, traces, plans, costs))
            begin += len(traces)
        return write_data(folder, parts, costs, facts)


def _plan(facts: object, arm: str, folder: Path) -> ArmPlan:
    """Return what an arm did, as the manifest has it."""
    plan = plan_of_facts(facts.get(f"arm {arm}")) if isinstance(facts, dict) else None
    if plan is None:
        raise ValueError(f"{folder} was not written by collect: its manifest does not say what arm {arm!r} was")
    return plan


def _priced(
    rows: FullInformationData, traces: list[Trace], plans: list[ArmPlan], costs: CostProfile
) -> FullInformationData:
    observations = tuple(
        tuple(_observed(old, replayer, plan) for old, plan in zip(row, plans, strict=True) if old is not None)
        for row, replayer in zip(rows.observations or (), (Replayer(trace, costs) for trace in traces), strict=True)
    )
    seconds = np.array([[observation.seconds for observation in row] for row in observations])
    priced = replace(rows, observations=observations, costs=seconds, cost_profiles=(costs.digest,))
    return priced.with_reward(make_reward(DEFAULT_REWARD))


def _observed(old: Observation, replayer: Replayer, plan: ArmPlan) -> Observation:
    """Return the observation with the seconds that the replayer's profile gives it."""
    if old.reference is None or old.query_id != replayer.trace.query_id:
        raise ValueError(f"the trace of query {replayer.trace.query_id!r} does not belong to the {old}: collect again")
    reference = replace(old.reference, seconds=replayer.plain_s)
    return replace(old, seconds=replayer.play(plan).seconds, reference=reference)
