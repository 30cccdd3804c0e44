"""Collect what the experiments run on: the target's texts, every draft traced on them, and the drafts' own texts.

    python examples/paper/make_traces.py           # an hour; a stopped run goes on when it is called again
    python examples/paper/make_traces.py --costs   # measure the seconds that price the traces, alone on the machine
    python examples/paper/make_traces.py --clock   # time every arm on test queries, alone on the machine, three minutes

Prompts, pool and settings are those of `pool.toml` and `paper_parts/prompts.py`. The work folder holds what `collect`
writes; what the experiments read is packed into `traces/`, small enough for the repository.
"""

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from paper_parts.measuring import measure_profiles, measure_runs
from paper_parts.own_texts import write_own_texts
from paper_parts.packing import pack
from paper_parts.prompts import asked_otherwise, paper_prompts, same_queries

from arms import Query, read_queries
from speculative.collection.collect import collect
from speculative.collection.priced_folder import stored_costs
from speculative.collection.settings import CollectSettings
from speculative.measuring.cost_measurement import QUICK, measure_costs
from speculative.measuring.cost_profile import NoisyCostsWarning
from speculative.pools.pool import Pool

HERE = Path(__file__).parent
SIDES = ("train", "test", "otherwise")


def main(arguments: Sequence[str] | None = None) -> None:
    """Collect and pack, or measure this machine."""
    options = _options(arguments)
    torch.set_num_threads(options.threads)
    if options.costs:
        measure_profiles(options.pool, options.out)
    elif options.clock:
        pool = Pool.load(options.pool)
        measure_runs(pool, paper_prompts().test, options.work, options.out, options.seconds)
    else:
        _make(options)


def _make(options: argparse.Namespace) -> None:
    """Collect, let the drafts write, and pack; what is done already is kept."""
    pool, prompts = Pool.load(options.pool), paper_prompts()
    otherwise = asked_otherwise(prompts.test)
    if options.paraphrased is not None:
        otherwise = read_queries(options.paraphrased)
        same_queries(prompts.test, otherwise, options.paraphrased)
    for name, queries in zip(SIDES, (prompts.train, prompts.test, otherwise), strict=True):
        _collect(pool, queries[: options.n], options.work / name)
        if name != "otherwise":
            for n in write_own_texts(pool, queries[: options.n], options.work / name):
                print(f"{name}: own texts of {n} more queries", flush=True)
    pack(options.work, options.out, SIDES)


def _collect(pool: Pool, queries: Sequence[Query], folder: Path) -> None:
    """Trace; the seconds that `collect` wants are a first look, which `--clock` replaces."""
    costs = stored_costs(folder) or measure_costs(pool.target.model, pool.drafts, effort=QUICK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NoisyCostsWarning)
        collect(
            queries,
            pool,
            folder,
            costs,
            settings=CollectSettings(allow_noisy_costs=True),
            on_progress=lambda n: print(f"{folder.name}: {n} more queries", flush=True),
        )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, default=HERE / "pool.toml")
    parser.add_argument("--paraphrased", type=Path, help="JSONL of the test prompts, asked otherwise, under their ids")
    parser.add_argument("--work", type=Path, default=Path(".paper"), help="folder in which a stopped run goes on")
    parser.add_argument("--out", type=Path, default=HERE / "traces", help="folder of what the experiments read")
    parser.add_argument("--n", type=int, help="queries of each side; all by default")
    parser.add_argument("--costs", action="store_true", help="measure cost profiles, and nothing else")
    parser.add_argument("--clock", action="store_true", help="time every arm in turn, and nothing else")
    parser.add_argument("--seconds", type=float, default=170.0, help="with --clock: when it ends")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
