"""What each reward teaches: every policy trained and valued on every reward, on held-out prompts.

Collects the demo's prompts once (each draft also writes its own answer, for the paper's alignment), then only
re-reads the stored observations: a new reward never runs a model.

    python examples/benchmarks/bench_rewards.py
    python examples/benchmarks/bench_rewards.py --prompts FILE.jsonl     # half trains, half tests
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import torch
from rich.console import Console

from arms import Observation, Query, read_queries
from arms.atomic_file import write_file
from bandits import (
    Bootstrap,
    FullInformationData,
    Reinforce,
    evaluate,
)
from rewards import AcceptanceLength, RelativeSpeed, Reward, RougeL, Speedup, TimeSaved
from speculative.collection.collect import collect
from speculative.collection.settings import CollectSettings
from speculative.demo.learning import learn
from speculative.demo.queries import demo_queries
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.machine import machine_facts
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Collect, train on each reward, and write `docs/results/bench_rewards.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="JSONL with id, domain, prompt; default: the project's own")
    parser.add_argument("--pool", type=Path, default=Path("speculative/demo/pool.toml"))
    parser.add_argument("--data", type=Path, help="folder of collected data to go on with; default: a temporary one")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a few prompts; writes nothing")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        train, test = collected(options, options.data or Path(scratch))
    tables = {}
    for name, reward in make_rewards(train).items():
        rewarded = train.with_reward(reward)
        policies = learn(rewarded, options.seed)
        policies["REINFORCE, exact gradient"] = Reinforce({"gradient": "exact"}, seed=options.seed).fit(rewarded)
        evaluation = evaluate(
            policies, test.with_reward(reward), training_data=rewarded, bootstrap=Bootstrap(seed=options.seed)
        )
        Console().print(f"\n{name}\n{evaluation.to_text()}", markup=False)
        tables[name] = json.loads(evaluation.to_json())
    result: dict[str, object] = {
        "rewards": tables,
        "n_train": len(train),
        "n_test": len(test),
        "command": f"python examples/benchmarks/bench_rewards.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "machine": machine_facts(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    if not options.smoke:
        write_file(RESULTS / "bench_rewards.json", json.dumps(result, indent=1) + "\n")
    return result


def collected(options: argparse.Namespace, folder: Path) -> tuple[FullInformationData, FullInformationData]:
    """Training and held-out data of the pool on the prompts."""
    spec = read_pool_spec(options.pool).model_copy(update={"max_new_tokens": options.max_new_tokens})
    if options.smoke:
        spec = spec.model_copy(update={"max_new_tokens": 8, "max_batch": 4})
    pool = Pool.of(spec)
    costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, DEFAULT_CACHE / "profiles")
    train_queries, test_queries = split_queries(options)
    torch.manual_seed(options.seed)
    train = collect(train_queries, pool, folder / "train", costs, settings=CollectSettings(own_texts=True))
    return train, collect(test_queries, pool, folder / "test", costs, settings=CollectSettings(own_texts=True))


def split_queries(options: argparse.Namespace) -> tuple[list[Query], list[Query]]:
    """Return the demo's own split, or alternate prompts of a file."""
    if options.prompts is None:
        train, test = demo_queries()
    else:
        queries = read_queries(options.prompts)
        train, test = queries[::2], queries[1::2]
    return (train[:8], test[:4]) if options.smoke else (train, test)


def make_rewards(train: FullInformationData) -> dict[str, Reward]:
    """Every reward the project ships; the paper's is half alignment, half speed.

    Prompt lookup has no text of its own, so its alignment must be stated: 0.
    """
    observations: list[Observation] = [o for row in train.observations or () for o in row if o is not None]
    speed = RelativeSpeed.fitted(observations)
    alignment = RougeL(missing=0.0)
    return {
        "TimeSaved": TimeSaved(),
        "Speedup": Speedup(),
        "RelativeSpeed": speed,
        "AcceptanceLength": AcceptanceLength(),
        "RougeL": alignment,
        "0.5 RougeL + 0.5 RelativeSpeed": 0.5 * alignment + 0.5 * speed,
    }


if __name__ == "__main__":
    main()
