"""Whether choosing pays: every policy, rule and fixed arm of a pool on held-out prompts, by replay.

Learns from one collected folder, scores on another that shares no prompt with it, and says what each ingredient
brings: objective, shrinkage, contexts, rules. No model runs, so that it takes a minute.

    draftpick collect train.jsonl --pool POOL --out data/train
    draftpick collect test.jsonl --pool POOL --out data/test
    python examples/benchmarks/bench_choice.py data/train data/test --name smollm2
    python examples/benchmarks/time_choice.py POOL data/train test.jsonl --out timed  # wall-clock seconds, for --runs
    python examples/benchmarks/bench_choice.py report/train report/test --runs report/runs.json --name demo
"""

import argparse
import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from choice_bench.ablation import ablation, fit_all, with_shrinkage
from choice_bench.candidates import (
    CLAIRVOYANT,
    Candidate,
    arm_candidates,
    clairvoyant_seconds,
    costs_of,
    domain_look_up,
    oracle,
    policy_candidates,
)
from choice_bench.clock import Clock, against_clock, own_runs
from choice_bench.figures import by_domain, table_row, times_as_fast
from choice_bench.sides import NO_DRAFT, Sides, read_sides

from arms.atomic_file import write_file
from bandits import Estimate, FullInformationData, cross_validated
from bandits.evaluation import best_fixed_arm
from bandits.evaluation.canvas import interval_bars
from speculative.demo.learning import unfitted
from speculative.demo.modes import PEERS
from speculative.measuring.machine import machine_facts
from speculative.measuring.wall_clock import read_runs

RESULTS = Path(__file__).parents[2] / "docs" / "results"
FIXED, RULE = "best fixed arm", "best fixed arm or rule"
MOST_ERROR = 0.10


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Score, print, and write `choice_NAME.json` and its picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("train", type=Path, help="folder that draftpick collect wrote, to learn from")
    parser.add_argument("test", type=Path, help="folder of held-out prompts, of the same pool and costs")
    parser.add_argument("--runs", type=Path, help="runs.json of time_choice.py, or of a demo with these folders")
    parser.add_argument("--name", default="pool", help="of the result: choice_NAME.json")
    parser.add_argument("--bar", type=float, default=1.08, help="what the chosen policy is meant to reach")
    parser.add_argument("--folds", type=int, default=10, help="of the training prompts, to choose the policy by")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON and the picture")
    options = parser.parse_args(arguments)
    sides = read_sides(options.train, options.test)
    result = {
        **bench(sides, options),
        "command": f"python examples/benchmarks/bench_choice.py {shlex.join(arguments or sys.argv[1:])}",
        "machine": machine_facts(threads=sides.threads),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    write_file(options.results / f"choice_{options.name}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def bench(sides: Sides, options: argparse.Namespace) -> dict[str, object]:
    """Return every figure."""
    seed, costs = options.seed, costs_of(sides.test)
    chosen, scores = choose(sides.train, options)
    policies = policy_candidates(fit_all(sides.train, with_shrinkage, seed), sides.test, seed)
    candidates = [*arm_candidates(sides), *policies, domain_look_up(sides), oracle(sides.test)]
    named = {candidate.name: candidate for candidate in candidates}
    fixed = best_fixed_arm(sides.train.select_arms(sides.fixed_arms), "seconds")
    any_arm = best_fixed_arm(sides.train, "seconds")
    seconds = {name: one.seconds(costs) for name, one in named.items()}
    references = {NO_DRAFT: seconds[NO_DRAFT], FIXED: seconds[fixed], RULE: seconds[any_arm]}
    n_tokens = sum(row[0].n_tokens for row in sides.test.observations or () if row[0] is not None)
    rows = [table_row(one.name, one.kind, seconds[one.name], n_tokens, references, seed) for one in candidates]
    rows.append(table_row(CLAIRVOYANT, "oracle", clairvoyant_seconds(sides), n_tokens, references, seed))
    _print(rows, fixed, any_arm, chosen)
    domains = by_domain(seconds[chosen], references, sides.test.domains or [None] * len(sides.test), seed)
    clock, timed = wall_clock(options, sides.test, candidates, [NO_DRAFT, fixed, any_arm, *PEERS])
    gain = times_as_fast(seconds[chosen], seconds[fixed], seed)
    _draw(rows, options)
    return {
        "name": options.name,
        "chosen": chosen,
        "scores": scores,
        "best_fixed_arm": fixed,
        "best_fixed_arm_or_rule": any_arm,
        "rules": sides.rules,
        "n_train": len(sides.train),
        "n_test": len(sides.test),
        "encoder": sides.encoder,
        "rows": rows,
        "choose_ms": {one.name: one.choose_s * 1e3 for one in candidates if one.choose_s},
        "by_domain": domains,
        "ablation": ablation(sides, fixed, seed),
        "clock": clock,
        "own_runs": timed,
        "data": sides.facts,
        "bars": bars(gain, domains, clock, options.bar),
    }


def wall_clock(
    options: argparse.Namespace, test: FullInformationData, candidates: Sequence[Candidate], references: Sequence[str]
) -> tuple[dict[str, object] | None, list[dict[str, object]] | None]:
    """Return how replay stands to the clock, and each mode's own speed; nothing where no runs are given."""
    if options.runs is None:
        return None, None
    ranked, runs = [one for one in candidates if one.kind != "oracle"], read_runs(options.runs)
    held_out = set(map(str, test.query_ids or ()))
    clock = against_clock(Clock.of(runs, test), ranked, test.arm_names, options.seed)
    return clock, own_runs(runs, list(dict.fromkeys(references)), held_out, options.seed)


def choose(train: FullInformationData, options: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """Return the policy that is fastest on training prompts that it had not seen, and what each reached."""
    found = {
        name: cross_validated(policy, train, seed=options.seed, n_folds=options.folds)
        for name, policy in unfitted(options.seed).items()
    }
    best = max(found, key=lambda name: found[name].conclusion.estimate.value)
    return best, {name: str(score.conclusion) for name, score in found.items()}


def bars(
    gain: Estimate, domains: Sequence[dict[str, object]], clock: dict[str, object] | None, bar: float
) -> list[dict[str, object]]:
    """Return what the choice, and the replay, are meant to reach."""
    slower = [row["domain"] for row in domains if row[f"over {NO_DRAFT}"]["high"] < 1]  # type: ignore[index]
    found: list[dict[str, object]] = [
        {
            "name": "chosen policy over best fixed arm",
            **asdict(gain),
            "bar": bar,
            "holds": gain.value >= bar and gain.low > 1,
        },
        _at_most("domains in which the chosen policy is slower than no draft beyond noise", len(slower), 0),
    ]
    if clock is not None:
        error, swapped = clock["median_error_of_seconds"], clock["swapped"]
        found.append(_at_most("median error of replayed seconds", error, MOST_ERROR))  # type: ignore[arg-type]
        found.append(_at_most("pairs that replay puts in another order than the clock", len(swapped), 0))  # type: ignore[arg-type]
    return found


def _at_most(name: str, value: float, bar: float) -> dict[str, object]:
    return {"name": name, "value": value, "bar": bar, "holds": value <= bar, "at_most": True}


def _print(rows: Sequence[dict[str, object]], fixed: str, any_arm: str, chosen: str) -> None:
    print(f"best fixed arm {fixed}, best fixed arm or rule {any_arm}, chosen policy {chosen}")
    for row in rows:
        ratios = "  ".join(f"{Estimate(**row[f'over {name}']):.3f}" for name in (NO_DRAFT, FIXED, RULE))  # type: ignore[arg-type]
        print(f"{row['name']:<24} {row['tokens_per_second']:7.2f} tokens/s  {ratios}")


def _draw(rows: Sequence[dict[str, object]], options: argparse.Namespace) -> None:
    shown = {str(row["name"]): Estimate(**row[f"over {FIXED}"]) for row in rows}  # type: ignore[arg-type]
    title = "Speed on held-out prompts, replayed"
    picture = options.results / f"choice_{options.name}.png"
    interval_bars(picture, shown, title=title, x_label="times the best fixed arm", line=1.0)


if __name__ == "__main__":
    main()
