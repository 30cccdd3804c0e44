"""Collect what the experiments run on: the target's texts, every draft traced on them, and the drafts' own texts.

    python examples/paper/make_traces.py           # an hour; a stopped run goes on when it is called again
    python examples/paper/make_traces.py --target qwen --n 96 --n-test 64   # the same of the second target
    python examples/paper/make_traces.py --costs   # measure the seconds that price the traces, alone on the machine
    python examples/paper/make_traces.py --clock   # time every arm on test queries, alone on the machine, three minutes
    python examples/paper/make_traces.py --labels  # time both kinds of label, alone on the machine, three minutes

Called again with more --seconds, --clock goes on where it ended.

Prompts, pool and settings are those of `pool_TARGET.toml` and `paper_parts/prompts.py`. The work folder holds what
`collect` writes; what the experiments read is packed into `traces/TARGET`, small enough for the repository.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from paper_parts.collecting import collect_own_texts, collect_traces
from paper_parts.label_seconds import measure_labels
from paper_parts.measuring import measure_profiles, measure_runs
from paper_parts.packing import pack
from paper_parts.prompts import Prompts, asked_otherwise, paper_prompts, same_queries, some
from paper_parts.targets import TARGETS, PaperTarget, paper_target

from arms import read_queries
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
        pool, _ = _pool(options)
        measure_runs(pool, _prompts(options).test, options.work, options.out, options.seconds)
    elif options.labels:
        pool, target = _pool(options)
        measure_labels(pool, _prompts(options).test, target.writers, options.out, options.seconds)
    else:
        _make(options)


def _make(options: argparse.Namespace) -> None:
    """Collect, let the drafts write, and pack; what is done already is kept."""
    pool, target = _pool(options)
    prompts = _prompts(options)
    otherwise = asked_otherwise(prompts.test)
    if options.paraphrased is not None:
        otherwise = read_queries(options.paraphrased)
        same_queries(prompts.test, otherwise, options.paraphrased)
    for name, queries in zip(SIDES, (prompts.train, prompts.test, otherwise), strict=True):
        collect_traces(pool, queries, options.work / name)
        if name != "otherwise":
            collect_own_texts(pool, queries, options.work / name, target.writers)
    pack(options.work, options.out, SIDES, pool.target)


def _pool(options: argparse.Namespace) -> tuple[Pool, PaperTarget]:
    """Return the pool, whose arms must be all those of the target, and the target."""
    pool = Pool.load(options.pool)
    return pool, paper_target([arm.name for arm in pool.arms], {options.target: TARGETS[options.target]})


def _prompts(options: argparse.Namespace) -> Prompts:
    prompts = paper_prompts()
    return Prompts(some(prompts.train, options.n), some(prompts.test, options.n_test or options.n))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=TARGETS, default="smollm2", help="whose pool, folders and arms")
    parser.add_argument("--pool", type=Path, help="another file of the same arms than pool_TARGET.toml")
    parser.add_argument("--paraphrased", type=Path, help="JSONL of the test prompts, asked otherwise, under their ids")
    parser.add_argument("--work", type=Path, help="folder in which a stopped run goes on; .paper/TARGET by default")
    parser.add_argument("--out", type=Path, help="folder of what the experiments read; traces/TARGET by default")
    parser.add_argument("--n", type=int, help="training queries, evenly from each domain; all by default")
    parser.add_argument("--n-test", type=int, help="test queries, as above; as many as of --n by default")
    parser.add_argument("--costs", action="store_true", help="measure cost profiles, and nothing else")
    parser.add_argument("--clock", action="store_true", help="time every arm in turn, and nothing else")
    parser.add_argument("--labels", action="store_true", help="time both kinds of label, and nothing else")
    parser.add_argument("--seconds", type=float, default=170.0, help="when --labels ends, and --clock, over all calls")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    options.pool = options.pool or HERE / f"pool_{options.target}.toml"
    options.work = options.work or Path(".paper") / options.target
    options.out = options.out or HERE / "traces" / options.target
    return options


if __name__ == "__main__":
    main()
