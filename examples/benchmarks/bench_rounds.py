"""What a choice at every round brings: learned on one collected folder and played on another, beside published rules.

No model runs. Total replayed seconds of held-out prompts, prompt reading included; ablations, the calibration of the
acceptance model, and what is lost on other machines. Minutes.

    python examples/benchmarks/bench_rounds.py data/train data/test --name smollm2

`--runs` tells the seconds that `time_choice.py --rounds` measured of the same choices, beside. `--without` says what
some arms are worth: every choice is learned and played once more without them.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
from choice_bench.clock import own_runs
from choice_bench.sides import Sides, read_sides
from rounds_bench.ablations import ablations
from rounds_bench.additions import additions
from rounds_bench.calibration import calibration, plot
from rounds_bench.setting import Setting
from rounds_bench.transfer import transfer

from arms.atomic_file import write_file
from bandits import Bootstrap, Estimate, FullInformationData
from bandits.evaluation import best_fixed_arm
from speculative.collection.priced_folder import stored_costs
from speculative.collection.replay import Replayer
from speculative.collection.trace import Trace
from speculative.collection.trace_store import TRACES, read_trace_parts
from speculative.demo.learning import unfitted
from speculative.demo.modes import REAL
from speculative.measuring.machine import machine_facts
from speculative.measuring.wall_clock import read_runs
from speculative.rounds import (
    Baselines,
    SpeedSelector,
    TrainingSettings,
    clairvoyant_s,
    fit_speed_selector,
    gated,
    play,
)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
N_SEEDS = 5
CHOICES = ("KNN per query", "SpeedSelector", "GatedSelector", "oracle per query", "clairvoyant per round")


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Learn, play, print, and write `rounds_NAME.json` and its picture."""
    options = _options(arguments)
    sides, costs = read_sides(options.train, options.test), stored_costs(options.train)
    if costs is None:
        raise SystemExit(f"{options.train} holds no cost profile")
    arms = {name: sides.plans[name] for name in sides.fixed_arms}
    setting = Setting(_traces(options.train, sides.train), _traces(sides.test_folder, sides.test), arms, costs)
    settings = TrainingSettings(seed=options.seed)
    begin = time.perf_counter()
    speed = fit_speed_selector(setting.train, arms, costs, settings)
    fit_s = time.perf_counter() - begin
    seconds = seconds_of(sides, setting, speed, settings)
    fixed = best_fixed_arm(sides.train.select_arms(sides.fixed_arms), "seconds")
    bootstrap = Bootstrap(seed=options.seed)
    rows = {name: bootstrap.ratio_of_sums(seconds[fixed], own) for name, own in seconds.items()}
    against = {
        name: bootstrap.ratio_of_sums(seconds["KNN per query"], seconds[name])
        for name in ("SpeedSelector", "GatedSelector")
    }
    calibrated = calibration(setting, speed)
    parts = _without(options, sides, setting, seconds) | ({} if options.smoke else _parts(setting, speed, settings))
    if not options.smoke:
        plot(calibrated, options.results / f"rounds_{options.name}_calibration.png")
    result = {
        "name": options.name,
        "n_train": len(sides.train),
        "n_test": len(sides.test),
        "fixed_arms": sides.fixed_arms,
        "best_fixed_arm": fixed,
        **_reached(rows, against, options.bar),
        "fit_s": fit_s,
        "play_us_a_round": _play_us(setting, speed),
        "calibration": calibrated,
        **parts,
        **_timed(options, setting, fixed),
        **_origin(options, sides),
    }
    text = json.dumps(result, indent=1, allow_nan=False) + "\n"
    write_file(options.results / f"rounds_{options.name}.json", text)
    _print(rows, fixed, against)
    return result


def _reached(rows: Mapping[str, Estimate], against: Mapping[str, Estimate], bar: float) -> dict[str, object]:
    """Return all ratios, the share of what hindsight could gain, and the bars."""
    reached, room = rows["GatedSelector"], rows["clairvoyant per round"].value - 1
    return {
        "times_best_fixed_arm": {name: asdict(value) for name, value in rows.items()},
        "times_knn_per_query": {name: asdict(value) for name, value in against.items()},
        "share_of_clairvoyant": (reached.value - 1) / room if room > 0 else None,
        "bars": [
            _bar("GatedSelector over best fixed arm", reached, bar),
            _bar("GatedSelector over KNN per query", against["GatedSelector"], 1.0),
        ],
    }


def _parts(setting: Setting, speed: SpeedSelector, settings: TrainingSettings) -> dict[str, object]:
    return {
        "ablations": ablations(setting, speed, settings),
        "additions": additions(setting, speed, settings),
        "transfer": transfer(setting, speed, settings),
    }


def _without(
    options: argparse.Namespace, sides: Sides, setting: Setting, seconds: Mapping[str, np.ndarray]
) -> dict[str, object]:
    """Return how many times as fast each choice is as one among the arms without some; nothing where none are named."""
    rows, settings = [], TrainingSettings(seed=options.seed)
    for names in options.without:
        left_out = names.split(",")
        unknown = sorted(set(left_out) - set(sides.test.arm_names))
        if unknown:
            raise SystemExit(f"--without names arms of the pool, not {', '.join(unknown)}")
        less = sides.with_arms(tuple(name for name in sides.test.arm_names if name not in left_out))
        kept = replace(setting, arms={name: plan for name, plan in setting.arms.items() if name not in left_out})
        speed = fit_speed_selector(kept.train, kept.arms, kept.costs, settings)
        other, bootstrap = seconds_of(less, kept, speed, settings), Bootstrap(seed=options.seed)
        ratios = {name: asdict(bootstrap.ratio_of_sums(other[name], seconds[name])) for name in CHOICES}
        rows.append({"arms": left_out, "times_as_fast": ratios})
    return {"without_arms": rows} if rows else {}


def _timed(options: argparse.Namespace, setting: Setting, fixed: str) -> dict[str, object]:
    """Return each timed mode's speed, over that of the best fixed arm and of the policy; nothing where none was."""
    if options.runs is None:
        return {}
    runs = read_runs(options.runs)
    policies = sorted({run.mode for run in runs if run.mode.endswith(REAL)})
    held_out = {trace.query_id for trace in setting.test}
    return {"own_runs": own_runs(runs, [fixed, *policies], held_out, options.seed)}


def _origin(options: argparse.Namespace, sides: Sides) -> dict[str, object]:
    return {
        "data": sides.facts,
        "command": f"python examples/benchmarks/bench_rounds.py data/train data/test --name {options.name} "
        f"--bar {options.bar:g} --seed {options.seed}"
        + "".join(f" --without {names}" for names in options.without)
        + (" --smoke" if options.smoke else ""),
        "machine": machine_facts(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="folder that draftpick collect wrote, to learn from")
    parser.add_argument("test", type=Path, help="folder of held-out prompts, of the same pool and costs")
    parser.add_argument("--name", default="pool", help="of the result: rounds_NAME.json")
    parser.add_argument("--bar", type=float, default=1.12, help="what the selector is meant to reach")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    parser.add_argument(
        "--runs", type=Path, help="runs.json of time_choice.py --rounds on prompts of the held-out folder"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="ARMS", help="arms whose worth is told; may be repeated"
    )
    parser.add_argument("--smoke", action="store_true", help="leave out ablations, transfer and the picture")
    return parser.parse_args(arguments)


def _bar(name: str, reached: Estimate, bar: float) -> dict[str, object]:
    return {"name": name, **asdict(reached), "bar": bar, "holds": reached.value >= bar and reached.low > 1}


def _print(rows: Mapping[str, Estimate], fixed: str, against: Mapping[str, Estimate]) -> None:
    for name, value in rows.items():
        print(f"{name:24} {value:.3f} times the best fixed arm, {fixed}")
    for name, value in against.items():
        print(f"{name} over KNN per query: {value:.3f}")


def _play_us(setting: Setting, selector: SpeedSelector) -> float:
    """Return the processor's microseconds a round: record, choice and the walk through the text."""
    plans, n_rounds, begin = list(setting.arms.values()), 0, time.process_time()
    for trace in setting.test:
        n_rounds += len(play(selector, plans, trace, setting.costs).actions)
    return 1e6 * (time.process_time() - begin) / n_rounds


def seconds_of(
    sides: Sides, setting: Setting, speed: SpeedSelector, settings: TrainingSettings
) -> dict[str, np.ndarray]:
    """Return each choice's seconds on every held-out prompt; of rules that draw, the mean over seeds."""
    plans, costs = list(setting.arms.values()), setting.costs
    replayers = [Replayer(trace, costs) for trace in setting.test]
    seconds = {name: np.array([one.play(plan).seconds for one in replayers]) for name, plan in sides.plans.items()}
    fixed = np.stack([seconds[name] for name in sides.fixed_arms], axis=1)
    every = np.stack([seconds[name] for name in sides.test.arm_names], axis=1)
    knn = unfitted(settings.seed)["KNN"].fit(sides.train)
    chosen = knn.probabilities(sides.test.contexts)[:, [knn.arm_names.index(name) for name in sides.test.arm_names]]
    seconds["KNN per query"] = (chosen * every).sum(axis=1)
    baselines = Baselines(setting.arms, costs, settings)
    seconds |= {name: setting.seconds(one) for name, one in baselines.fitted(setting.train, setting.test).items()}
    for name, ones in baselines.random(setting.test, range(N_SEEDS)).items():
        seconds[name] = np.mean([setting.seconds(one) for one in ones], axis=0)
    seconds["SpeedSelector"] = setting.seconds(speed)
    seconds["GatedSelector"] = setting.seconds(gated(speed, setting.train, costs, settings))
    seconds["oracle per query"] = fixed.min(axis=1)
    seconds["clairvoyant per round"] = np.array([clairvoyant_s(plans, trace, costs) for trace in setting.test])
    return seconds


def _traces(folder: Path, data: FullInformationData) -> list[Trace]:
    """Return the traces of the data's rows, in their order."""
    traces = {trace.query_id: trace for part in read_trace_parts(folder / TRACES) for trace in part}
    return [traces[query_id] for query_id in data.query_ids or ()]


if __name__ == "__main__":
    main()
