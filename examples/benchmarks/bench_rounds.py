"""What a choice at every round brings: a `SpeedSelector` learned on one collected folder and played on another.

No model runs. Total replayed seconds of held-out prompts, prompt reading included.

    python examples/benchmarks/bench_rounds.py data/train data/test --name smollm2
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from choice_bench.sides import Sides, read_sides

from arms.atomic_file import write_file
from bandits import Bootstrap, Estimate, FullInformationData
from bandits.evaluation import best_fixed_arm
from speculative.collection.priced_folder import stored_costs
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.demo.learning import unfitted
from speculative.measuring.cost_profile import CostProfile
from speculative.measuring.machine import machine_facts
from speculative.rounds import TrainingSettings, clairvoyant_s, fit_speed_selector, play

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Learn, play, print, and write `rounds_NAME.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="folder that draftpick collect wrote, to learn from")
    parser.add_argument("test", type=Path, help="folder of held-out prompts, of the same pool and costs")
    parser.add_argument("--name", default="pool", help="of the result: rounds_NAME.json")
    parser.add_argument("--bar", type=float, default=1.12, help="what the selector is meant to reach")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    options = parser.parse_args(arguments)
    sides, costs = read_sides(options.train, options.test), stored_costs(options.train)
    if costs is None:
        parser.error(f"{options.train} holds no cost profile")
    seconds, facts = seconds_of(sides, options.train, costs, options.seed)
    fixed = best_fixed_arm(sides.train.select_arms(sides.fixed_arms), "seconds")
    bootstrap = Bootstrap(seed=options.seed)
    rows = {name: bootstrap.ratio_of_sums(seconds[fixed], own) for name, own in seconds.items()}
    against_policy = bootstrap.ratio_of_sums(seconds["KNN per query"], seconds["SpeedSelector"])
    reached, room = rows["SpeedSelector"], rows["clairvoyant per round"].value - 1
    result = {
        "name": options.name,
        "n_train": len(sides.train),
        "n_test": len(sides.test),
        "fixed_arms": sides.fixed_arms,
        "best_fixed_arm": fixed,
        "times_best_fixed_arm": {name: asdict(value) for name, value in rows.items()},
        "speed_selector_times_knn": asdict(against_policy),
        "share_of_clairvoyant": (reached.value - 1) / room if room > 0 else None,
        **facts,
        "bars": [_bar(reached, options.bar)],
        "data": sides.facts,
        "command": f"python examples/benchmarks/bench_rounds.py data/train data/test --name {options.name} "
        f"--bar {options.bar:g} --seed {options.seed}",
        "machine": machine_facts(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_file(options.results / f"rounds_{options.name}.json", text)
    _print(rows, fixed, against_policy)
    return result


def _bar(reached: Estimate, bar: float) -> dict[str, object]:
    holds = reached.value >= bar and reached.low > 1
    return {"name": "SpeedSelector over best fixed arm", **asdict(reached), "bar": bar, "holds": holds}


def _print(rows: Mapping[str, Estimate], fixed: str, against_policy: Estimate) -> None:
    for name, value in rows.items():
        print(f"{name:24} {value:.3f} times the best fixed arm, {fixed}")
    print(f"SpeedSelector over KNN per query: {against_policy:.3f}")


def seconds_of(
    sides: Sides, train_folder: Path, costs: CostProfile, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Return each choice's seconds on every held-out prompt, and how long fitting and choosing took."""
    plans = [sides.plans[name] for name in sides.fixed_arms]
    arms = {name: sides.plans[name] for name in sides.fixed_arms}
    train, test = _traces(train_folder, sides.train), _traces(sides.test_folder, sides.test)
    replayers = [Replayer(trace, costs) for trace in test]
    seconds = {
        name: np.array([replayer.play(plan).seconds for replayer in replayers]) for name, plan in sides.plans.items()
    }
    fixed = np.stack([seconds[name] for name in sides.fixed_arms], axis=1)
    every = np.stack([seconds[name] for name in sides.test.arm_names], axis=1)
    knn = unfitted(seed)["KNN"].fit(sides.train)
    chosen = knn.probabilities(sides.test.contexts)[:, [knn.arm_names.index(name) for name in sides.test.arm_names]]
    seconds["KNN per query"] = (chosen * every).sum(axis=1)
    begin = time.perf_counter()
    selector = fit_speed_selector(train, arms, costs, TrainingSettings(seed=seed))
    fit_s, begin, n_rounds, took = time.perf_counter() - begin, time.perf_counter(), 0, []
    for trace in test:
        played = play(selector, plans, trace, costs)
        took.append(played.seconds)
        n_rounds += len(played.actions)
    play_us = 1e6 * (time.perf_counter() - begin) / n_rounds
    seconds["SpeedSelector"] = np.array(took)
    blind = fit_speed_selector(train, arms, costs, TrainingSettings(seed=seed, n_prompt_features=0))
    seconds["SpeedSelector, no prompt"] = np.array([play(blind, plans, trace, costs).seconds for trace in test])
    seconds["oracle per query"] = fixed.min(axis=1)
    seconds["clairvoyant per round"] = np.array([clairvoyant_s(plans, trace, costs) for trace in test])
    return seconds, {"fit_s": fit_s, "play_us_a_round": play_us}


def _traces(folder: Path, data: FullInformationData) -> list[Trace]:
    """Return the traces of the data's rows, in their order."""
    traces = {trace.query_id: trace for part in read_trace_parts(folder / TRACES) for trace in part}
    return [traces[query_id] for query_id in data.query_ids or ()]


if __name__ == "__main__":
    main()
