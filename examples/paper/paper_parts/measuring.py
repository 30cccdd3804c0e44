"""What this machine takes: cost profiles, which price the traces, and wall-clock runs, which check them."""

from collections.abc import Sequence
from pathlib import Path

import torch

from arms import Query
from arms.atomic_file import write_file
from paper_parts.stored import COSTS
from paper_parts.timed import CLOCK, TimedRun, write_timed
from speculative.demo.queries import pick_evenly
from speculative.demo.wall_clock_stage import StageLimits, run_wall_clock
from speculative.measuring.cost_measurement import measure_costs
from speculative.measuring.wall_clock import arm_mode
from speculative.models.settings import WeightPrecision
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec

THREADS = {1: "1 thread", 2: "2 threads"}


def measure_profiles(pool: Path, out: Path) -> None:
    """Measure the target's passes and every draft's rounds, with one and two threads, in the pool's dtype and 4 bits.

    Args:
        pool: its file.
        out: takes a file a profile.
    """
    (out / COSTS).mkdir(parents=True, exist_ok=True)
    spec = read_pool_spec(pool)
    weights_of: dict[str, WeightPrecision] = {spec.dtype: "dense", "int4": "int4"}
    for name, weights in weights_of.items():
        loaded = Pool.of(spec.model_copy(update={"weights": weights}))
        for threads, told in THREADS.items():
            torch.set_num_threads(threads)
            costs = measure_costs(loaded.target.model, loaded.drafts)
            print(f"{name}, {told}: noise {costs.spread:.0%}, faults: {costs.faults() or 'none'}", flush=True)
            write_file(out / COSTS / f"{name}, {told}.json", costs.to_json())


def measure_runs(pool: Pool, queries: Sequence[Query], work: Path, out: Path, seconds: float) -> None:
    """Run every arm on one query after another, evenly over domains, until the time is up; keep seconds and texts.

    Args:
        pool: whose arms run.
        queries: of the test side.
        work: folder in which a stopped stage goes on, and one that ended by its time when it has more.
        out: takes `clock.json`.
        seconds: no query is begun that would end later, counted over all calls.
    """
    asked = [one.model_copy(update={"max_new_tokens": 64}) for one in pick_evenly(queries, len(queries))]
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    limits = StageLimits(seconds=seconds, least=1)
    runs = run_wall_clock(asked, modes, work / "clock", seed=0, limits=limits, on_progress=_tell)
    rows = [
        TimedRun(
            query_id=run.query_id,
            arm=run.mode,
            seconds=run.seconds,
            n_tokens=len(run.token_ids),
            text=pool.target.text(run.token_ids),
        )
        for run in runs
    ]
    write_timed(out / CLOCK, pool.target.fingerprint(), rows)


def _tell(n_done: int, n_queries: int) -> None:
    print(f"timed {n_done} of at most {n_queries} queries", flush=True)
