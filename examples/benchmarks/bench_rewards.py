"""What each reward teaches, what it costs to compute, and what its labels cost.

Collects the demo's prompts once (each draft also writes its own answer, for the paper's alignment), then only
re-reads the stored observations: a new reward never runs a model. Every policy is trained and valued on rewards that
say different things, on held-out prompts. Every reward of the library is computed for 100,000 observations: the stored
ones, repeated, with texts that are all different.

    python examples/benchmarks/bench_rewards.py
    python examples/benchmarks/bench_rewards.py --prompts FILE.jsonl     # half trains, half tests
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
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
from rewards import (
    REWARDS,
    AcceptanceLength,
    RelativeSpeed,
    Reward,
    RougeL,
    SemanticSimilarity,
    Speedup,
    TimeSaved,
    WeightedAverage,
)
from rewards.named import make_reward
from speculative.collection import label_seconds
from speculative.collection.collect import collect
from speculative.collection.priced_folder import made_of
from speculative.collection.settings import CollectSettings
from speculative.demo.learning import learn
from speculative.demo.queries import demo_queries
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.machine import machine_facts
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec

N_TIMED = 100_000
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
        folder = options.data or Path(scratch)
        train, test = collected(options, folder)
        labels, n_threads = label_seconds(folder / "train"), made_of(folder / "train")["threads"]
    tables = {name: learned(name, reward, train, test, options.seed) for name, reward in make_rewards(train).items()}
    timed = seconds_of_rewards(train, 100 if options.smoke else N_TIMED)
    for name, (n_timed, seconds) in timed.items():
        Console().print(f"{name}: {seconds:.2f} processor seconds for {n_timed} observations", markup=False)
    result: dict[str, object] = {
        "rewards": tables,
        "reward_seconds": {name: {"n": n_timed, "seconds": seconds} for name, (n_timed, seconds) in timed.items()},
        "label_seconds": {name: {"traced": one.traced, "own": one.own} for name, one in labels.items()},
        "label_threads": n_threads,
        "max_new_tokens": options.max_new_tokens,
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


def learned(
    name: str, reward: Reward, train: FullInformationData, test: FullInformationData, seed: int
) -> dict[str, object]:
    """Train every policy on a reward, print what it earns on held-out prompts, and return the table."""
    rewarded = train.with_reward(reward)
    policies = learn(rewarded, seed)
    policies["REINFORCE, exact gradient"] = Reinforce({"gradient": "exact"}, seed=seed).fit(rewarded)
    evaluation = evaluate(policies, test.with_reward(reward), training_data=rewarded, bootstrap=Bootstrap(seed=seed))
    Console().print(f"\n{name}\n{evaluation.to_text()}", markup=False)
    table: dict[str, object] = json.loads(evaluation.to_json())
    return table


def collected(options: argparse.Namespace, folder: Path) -> tuple[FullInformationData, FullInformationData]:
    """Training and held-out data of the pool on the prompts."""
    spec = read_pool_spec(options.pool).model_copy(update={"max_new_tokens": options.max_new_tokens})
    if options.smoke:
        spec = spec.model_copy(update={"max_new_tokens": 8, "max_batch": 4})
    pool = Pool.of(spec)
    costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, DEFAULT_CACHE / "profiles")
    train_queries, test_queries = split_queries(options)
    torch.manual_seed(options.seed)
    settings = CollectSettings(own_texts=True, overlaps=True)
    train = collect(train_queries, pool, folder / "train", costs, settings=settings)
    return train, collect(test_queries, pool, folder / "test", costs, settings=settings)


def split_queries(options: argparse.Namespace) -> tuple[list[Query], list[Query]]:
    """Return the demo's own split, or alternate prompts of a file."""
    if options.prompts is None:
        train, test = demo_queries()
    else:
        queries = read_queries(options.prompts)
        train, test = queries[::2], queries[1::2]
    return (train[:4], test[:2]) if options.smoke else (train, test)


def make_rewards(train: FullInformationData) -> dict[str, Reward]:
    """Rewards that say different things; the paper's is half alignment, half speed.

    Prompt lookup has no text of its own, so its alignment must be stated: 0.
    """
    speed = RelativeSpeed.fitted(train.known_observations())
    alignment = RougeL(missing=0.0)
    return {
        "TimeSaved": TimeSaved(),
        "Speedup": Speedup(),
        "RelativeSpeed": speed,
        "AcceptanceLength": AcceptanceLength(),
        "RougeL": alignment,
        "0.5 RougeL + 0.5 RelativeSpeed": WeightedAverage(0.5, alignment, speed),
    }


def seconds_of_rewards(train: FullInformationData, n: int) -> dict[str, tuple[int, float]]:
    """Return for every reward of the library how many observations were valued, and in how many processor seconds.

    Sentences are encoded for a thousandth of the observations, and their kept vectors read for all.
    """
    stored = [observation for observation in train.known_observations() if observation.own_text is not None]
    observations = [unlike(stored[i % len(stored)], i) for i in range(n)]
    timed = {}
    for name, reward in every_reward(train).items():
        asked = observations[: max(1, n // 1000)] if isinstance(reward, SemanticSimilarity) else observations
        reward.prepare(asked[:1])  # loads what there is to load
        timed[name] = len(asked), seconds_of(reward, asked)
    with tempfile.TemporaryDirectory() as vectors:
        SemanticSimilarity(DrawnVectors(), vectors=vectors).prepare(observations)
        kept = SemanticSimilarity(DrawnVectors(), vectors=vectors)
        timed["semantic_similarity(vectors='vectors')"] = n, seconds_of(kept, observations)
    hashed = "semantic_similarity(encoder='bandits:HashingEncoder')"
    timed[hashed] = n, seconds_of(make_reward(hashed, ()), observations)
    return timed


def seconds_of(reward: Reward, observations: Sequence[Observation]) -> float:
    """Return the processor seconds of valuing observations."""
    begin = time.process_time()
    reward.prepare(observations)
    for observation in observations:
        reward(observation)
    return time.process_time() - begin


class DrawnVectors:
    """Random vectors of the default sentence encoder's size: reading them again takes the same."""

    name = "drawn"

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Draw (n, 384) float32."""
        return np.random.default_rng(len(texts)).standard_normal((len(texts), 384), dtype=np.float32)


def every_reward(train: FullInformationData) -> dict[str, Reward]:
    """Return the rewards of the library, by the formula that names them."""
    settings = {
        "seconds_per_token": "(1)",
        "price": "(per_hour=1)",
        "acceptance_rate": "(missing=0)",
        "distribution_overlap": "(missing=0)",
        "expected_acceptance_length": "(5, missing=1)",
    }
    training = list(train.known_observations())
    formulas = [name + settings.get(name, "") for name in REWARDS] + ["paper(0.5)"]
    return {formula: make_reward(formula, training) for formula in formulas}


def unlike(observation: Observation, number: int) -> Observation:
    """Return the observation with texts of its own: nothing is found in a memory."""
    assert observation.reference is not None
    target = replace(observation.reference, text=f"{observation.reference.text} {number}")
    return replace(observation, own_text=f"{observation.own_text} of {number}", reference=target)


if __name__ == "__main__":
    main()
