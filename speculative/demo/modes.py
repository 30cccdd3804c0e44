"""What answers in the demo's wall-clock stage, and whose runs are whose."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bandits import FullInformationData, Policy
from speculative.demo.per_round import PER_ROUND
from speculative.measuring.wall_clock import Mode, Run, arm_mode, compose_policy_runs, policy_mode
from speculative.pools.pool import Pool

PLAIN, LOOKUP, ASSISTED = "transformers", "transformers prompt lookup", "transformers assisted"
PEERS = (PLAIN, LOOKUP, ASSISTED)
REAL = " (real run)"


def demo_modes(pool: Pool, name: str, policy: Policy, seed: int) -> dict[str, Mode]:
    """Return every arm and the chosen policy, by name."""
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    modes[name + REAL] = policy_mode(pool.arms, pool.encoder, policy, name=name + REAL, seed=seed)
    return modes


def timed_picks(policy: Policy, test: FullInformationData, seed: int) -> dict[str, tuple[str, float]]:
    """Return, by held-out query, the arm that a policy picks and the seconds that picking took."""
    rng, picks = np.random.default_rng(seed), {}
    for query_id, context in zip(test.query_ids or (), test.contexts, strict=True):
        begin = time.perf_counter()
        arm = policy.choose(context, rng).arm
        picks[str(query_id)] = (arm, time.perf_counter() - begin)
    return picks


def with_picks(
    runs: Sequence[Run], picks: Mapping[str, Mapping[str, tuple[str, float]]], arm_names: Sequence[str]
) -> dict[str, list[Run]]:
    """Return runs by mode: arms, policies, the choice per round, the chosen policy's real run, transformers.

    A policy's time on a prompt is the measured time of its pick and of picking, so that all policies are compared on
    the same runs; the chosen one's real run stands beside it as a check.
    """
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.mode].append(run)
    real = {mode: found.pop(mode) for mode in list(found) if mode.endswith(REAL)}
    peers = {mode: found.pop(mode) for mode in PEERS if mode in found}
    arms = {name: found[name] for name in arm_names}
    composed = {name: compose_policy_runs(runs, name, own) for name, own in picks.items()}
    return {**arms, **composed, PER_ROUND: found[PER_ROUND], **real, **peers}


def group_modes(runs: Sequence[Run], policy_names: Iterable[str], arm_names: Sequence[str]) -> dict[str, list[Run]]:
    """Group runs by mode where every policy really ran: arms, policies, the policies' real runs, the rest.

    Under a policy's name stand its picks' measured times plus its own measured selector time; what it took when it
    really ran stands under its name and "(real run)".
    """
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        found[run.mode].append(run)
    grouped = {name: found.pop(name) for name in arm_names}
    real = {name: found.pop(name) for name in policy_names}
    for name, own_runs in real.items():
        picks = {run.query_id: (run.pick or "", run.select_s) for run in own_runs}
        grouped[name] = compose_policy_runs(runs, name, picks)
    return grouped | {name + REAL: own_runs for name, own_runs in real.items()} | found
