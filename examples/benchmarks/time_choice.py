"""Time a learned choice per query beside the fixed arms that it is held against, and transformers, on the same prompts.

    draftpick collect train.jsonl --pool POOL --out data/train
    python examples/benchmarks/time_choice.py POOL data/train test.jsonl --n 24
    python examples/benchmarks/bench_choice.py data/train data/test --runs timed/runs.json

Modes take each prompt in turn, in a random order. A stopped run goes on with the next prompt. `bench_choice.py` puts
the seconds beside the replayed ones. With `--rounds`, choices at every round are timed too, learned from the same
folder; `bench_rounds.py --runs` tells their seconds.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from choice_bench.sides import NO_DRAFT

from arms import read_queries
from arms.atomic_file import write_file
from bandits import FullInformationData, cross_validated
from bandits.evaluation import best_fixed_arm
from rewards import TimeSaved
from speculative.demo.learning import learn, unfitted
from speculative.demo.modes import REAL
from speculative.demo.peers import peer_modes
from speculative.demo.queries import pick_evenly
from speculative.demo.wall_clock_stage import StageLimits, run_wall_clock
from speculative.measuring.wall_clock import Mode, Run, arm_mode, policy_mode, selector_mode
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec
from speculative.rounds import CollectedRounds, TrainingSettings, fit_speed_selector, gated


def main(arguments: Sequence[str] | None = None) -> list[Run]:
    """Time, and write `runs.json` into the folder."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    spec = read_pool_spec(options.pool)
    pool = Pool.of(spec, options.cache) if options.cache else Pool.of(spec)
    data = FullInformationData.load(options.train).with_reward(TimeSaved()).complete_rows()
    scores = {
        name: cross_validated(policy, data, seed=options.seed, n_folds=options.folds)
        for name, policy in unfitted(options.seed).items()
    }
    chosen = max(scores, key=lambda name: scores[name].conclusion.estimate.value)
    fixed = best_fixed_arm(data.select_arms([arm.name for arm in pool.fixed_arms]), "seconds")
    names = {NO_DRAFT, fixed, best_fixed_arm(data, "seconds"), *options.arms}
    print(f"best fixed arm {fixed}, policy {chosen}: {scores[chosen].conclusion}", flush=True)
    policy, name = learn(data, options.seed)[chosen], chosen + REAL
    options.out.mkdir(parents=True, exist_ok=True)
    modes = {arm.name: arm_mode(arm) for arm in pool.arms if arm.name in names}
    modes[name] = policy_mode(pool.arms, pool.encoder, policy, seed=options.seed, name=name)
    if options.rounds:
        modes |= round_modes(pool, options.train, options.seed)
    if not options.no_peers:
        modes |= peer_modes(spec, pool, options.out)
    queries = pick_evenly(read_queries(options.prompts), options.n)
    runs = run_wall_clock(
        [query.model_copy(update={"max_new_tokens": options.max_new_tokens}) for query in queries],
        modes,
        options.out / "timed",
        seed=options.seed,
        limits=StageLimits(seconds=options.seconds, least=1),
        on_progress=lambda done, total: print(f"{done} of {total} prompts", flush=True),
    )
    write_file(options.out / "runs.json", json.dumps([asdict(run) for run in runs]))
    return runs


def round_modes(pool: Pool, train: Path, seed: int) -> dict[str, Mode]:
    """Return a choice at every round of each kind, learned from a collected folder with the costs that priced it."""
    rounds, settings = CollectedRounds.read(train), TrainingSettings(seed=seed)
    speed = fit_speed_selector(rounds.traces, rounds.arms, rounds.costs, settings, encoder=pool.encoder)
    found = {"SpeedSelector": speed, "GatedSelector": gated(speed, rounds.traces, rounds.costs, settings)}
    arms = [pool.arms[name] for name in rounds.arms]
    return {name: selector_mode(arms, lambda one=one: one, name=name) for name, one in found.items()}


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool", type=Path, help="pool file of the collected data")
    parser.add_argument("train", type=Path, help="folder that draftpick collect wrote, to learn from")
    parser.add_argument("prompts", type=Path, help="JSONL of held-out prompts")
    parser.add_argument("--n", type=int, default=24, help="prompts, the same number of every domain")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--arms", nargs="*", default=[], help="further arms to time")
    parser.add_argument("--rounds", action="store_true", help="time choices at every round too")
    parser.add_argument("--no-peers", action="store_true", help="leave out transformers")
    parser.add_argument("--out", type=Path, default=Path("timed"), help="folder of the timed prompts and runs.json")
    parser.add_argument("--seconds", type=float, help="no prompt is begun that would end later")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--folds", type=int, default=10, help="of the training prompts, to choose the policy by")
    parser.add_argument("--cache", type=Path, help="folder of converted models and measured costs")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
