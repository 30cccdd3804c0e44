"""`--rounds` of the commands: learn, value and use a choice at every round."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file
from speculative.cli import options
from speculative.cli.progress import busy

if TYPE_CHECKING:
    from speculative.pools.pool import Pool
    from speculative.protocols.selector import Selector


def train_rounds(data: Path, out: Path, seed: int, as_json: bool) -> None:
    """Learn a choice per round from a collected folder and save it."""
    from speculative.rounds import CollectedRounds, TrainingSettings, fit_gated_selector

    rounds = CollectedRounds.read(data)
    with busy("learning"):
        selector = fit_gated_selector(rounds.traces, rounds.arms, rounds.costs, TrainingSettings(seed=seed))
    file = selector.save(out, rounds.target_name)
    n = len(rounds.traces)
    result = {"file": str(file), "n_queries": n, "arm_names": list(rounds.arms)}
    lines = [
        f"a choice per round among {', '.join(rounds.arms)} learned from {n} texts; saved in {file}",
        "use it: draftpick generate --rounds FILE; value it on held-out prompts: draftpick evaluate DATA --rounds "
        "--train-data TRAIN",
    ]
    options.report(result, options.wrapped(lines), as_json)


def evaluate_rounds_of(data: Path, train: Path | None, out: Path | None, seed: int, as_json: bool) -> None:
    """Say what a choice per round brings on held-out prompts, beside published rules and what hindsight could do."""
    from speculative.rounds import CollectedRounds, TrainingSettings, evaluate_rounds, evaluate_rounds_on

    held_out, settings = CollectedRounds.read(data), TrainingSettings(seed=seed)
    traces, arms, costs = held_out.traces, held_out.arms, held_out.costs
    learned_from = held_out if train is None else CollectedRounds.read(train)
    if train is not None:
        learned_from.check_fits(held_out)
    with busy("learning and playing"):
        if train is None:
            found = evaluate_rounds(traces, arms, costs, settings=settings)
        else:
            found = evaluate_rounds_on(learned_from.traces, traces, arms, costs, settings)
    result = asdict(found) | {"conclusion": found.conclusion()}
    if out is not None:
        write_file(out / "rounds.json", json.dumps(result, indent=1) + "\n")
        write_file(out / "rounds.txt", f"{found}\n")
    options.report(result, f"times as fast as the best fixed arm of the training prompts\n{found}", as_json)


def round_selector(path: Path, pool: "Pool", cache: Path | None = None) -> "Selector":
    """Return the saved choice per round for a pool, with this machine's cost profile.

    Raises:
        ValueError: if the file is damaged or of another target, or the pool lacks one of its arms, or has another in
            its place.
    """
    from speculative.collection.arm_plan import ArmPlan
    from speculative.rounds import GatedSelector, saved_arms, saved_target
    from speculative.selectors.arm_subset import ArmSubset

    target, own = saved_target(path), Path(pool.target.name).name
    if target not in (None, own):
        raise ValueError(f"{path} was learned from texts of {target!r}, the pool's target is {own!r}: train it anew")
    arms, plans = saved_arms(path), {arm.name: ArmPlan.of(arm) for arm in pool.arms}
    for name, plan in arms.items():
        if plans.get(name) != plan:
            raise ValueError(
                f"{path} chooses among {', '.join(arms)}, but the pool has "
                f"{'another' if name in plans else 'no'} arm {name!r} (it has {', '.join(plans)}): train it anew"
            )
    selector = GatedSelector.load(path, options.pool_costs(pool, cache), pool.encoder)
    return ArmSubset(selector, [list(plans).index(name) for name in arms])
