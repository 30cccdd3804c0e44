"""Traces and own texts of one side's queries, by the library's own resumable steps."""

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from arms import Query
from speculative.collection.collect import PART_SIZE, collect
from speculative.collection.own_texts import OWN_TEXTS, write_missing, write_part
from speculative.collection.pool_work import PoolWork, pool_facts
from speculative.collection.priced_folder import stored_costs
from speculative.collection.settings import CollectSettings
from speculative.measuring.cost_measurement import QUICK, measure_costs
from speculative.measuring.cost_profile import NoisyCostsWarning
from speculative.pools.pool import Pool


def collect_traces(pool: Pool, queries: Sequence[Query], folder: Path) -> None:
    """Trace; the seconds that `collect` wants are a first look, which `make_traces.py --costs` replaces."""
    costs = stored_costs(folder) or measure_costs(pool.target.model, pool.drafts, effort=QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoisyCostsWarning)
        collect(
            queries,
            pool,
            folder,
            costs,
            settings=CollectSettings(allow_noisy_costs=True),
            on_progress=_progress(f"{folder.name}: traced", len(queries)),
        )


def collect_own_texts(pool: Pool, queries: Sequence[Query], folder: Path, arms: Sequence[str]) -> None:
    """Let the drafts of some arms answer alone, beside the traces."""
    writers = Pool(pool.target, [pool.arms[name] for name in arms], encoder=pool.encoder)
    work = PoolWork(pool=writers, facts=pool_facts(writers), step=partial(write_part, truncate=False))
    parts = [queries[begin : begin + PART_SIZE] for begin in range(0, len(queries), PART_SIZE)]
    write_missing(folder / OWN_TEXTS, parts, work, None, _progress(f"{folder.name}: own texts of", len(queries)))


def _progress(what: str, n_queries: int) -> Callable[[int], None]:
    """Return what prints how many queries are done, those of earlier calls among them, when told of more."""
    done = 0

    def tell(n: int) -> None:
        nonlocal done
        done += n
        print(f"{what} {done} of {n_queries} queries", flush=True)

    return tell
