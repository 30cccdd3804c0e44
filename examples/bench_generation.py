"""How fast is generation? Arms and learned policies against transformers, same weights and prompts.

Trains the policies on one part of the prompts by replay, then measures the other part by the clock: all modes on
all prompts, interleaved in one process, prefill and choosing counted, float32, batch 1.

    python examples/bench_generation.py                       # the project's own prompts
    python examples/bench_generation.py --prompts FILE.jsonl  # any JSONL with id, domain, prompt
"""

import argparse
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from arms import Query, read_queries
from bandits import BestFixedArm, FullInformationData, Policy, evaluate
from rewards import TimeSaved
from speculative.collect import collect
from speculative.demo import demo_queries, learn, pick_evenly
from speculative.demo_report import REAL, group_modes
from speculative.engine.cost_profile import cached_costs
from speculative.engine.loading import DEFAULT_CACHE
from speculative.machine import machine_facts
from speculative.plots import bars_by_group
from speculative.pool import Pool, load_pool, read_pool_spec
from speculative.text_equality import compare_texts
from speculative.wall_clock import (
    Mode,
    Run,
    arm_mode,
    measure,
    policy_mode,
    repeated_share,
    speed_ratio,
    tokens_per_second,
    transformers_mode,
)

RESULTS = Path(__file__).parent.parent / "docs" / "results"
PEERS: dict[str, dict[str, int]] = {
    "transformers greedy": {},
    "transformers prompt lookup 3": {"prompt_lookup_num_tokens": 3},
    "transformers prompt lookup 10": {"prompt_lookup_num_tokens": 10},
}


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Measure and write `docs/results/bench_generation.json` and its plot."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    train_queries, test_queries, source = load_prompts(options)
    spec = read_pool_spec(options.pool).model_copy(update={"max_new_tokens": options.max_new_tokens})
    pool = load_pool(spec)
    costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, DEFAULT_CACHE / "profiles")
    with tempfile.TemporaryDirectory() as scratch:
        train = collect(train_queries, pool, Path(scratch) / "train", costs)
        test = collect(test_queries, pool, Path(scratch) / "test", costs)
    train, test = train.with_reward(TimeSaved()), test.with_reward(TimeSaved())
    policies = learn(train, options.seed)
    evaluation = evaluate(policies, test, training_data=train, seed=options.seed)
    Console().print(evaluation.table())
    modes = make_modes(pool, policies, options)
    total = len(modes) * len(test_queries)
    ticks = iter(track(range(total), description="measuring", console=Console(stderr=True)))

    def tick() -> None:
        next(ticks, None)

    runs = measure(test_queries, modes, options.seed, on_progress=tick)
    result = summarise(runs, pool, policies, train, test_queries, options)
    result |= {
        "prompts": source,
        "replayed": json.loads(evaluation.to_json()),
        "command": f"python examples/bench_generation.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "machine": machine_facts(),
        "seed": options.seed,
    }
    print_table(result)
    if not options.smoke:
        RESULTS.mkdir(parents=True, exist_ok=True)
        (RESULTS / "bench_generation.json").write_text(json.dumps(result, indent=1) + "\n")
        (RESULTS / "bench_generation_runs.json").write_text(json.dumps(strip(runs)) + "\n")
        bars_by_group(
            RESULTS / "bench_generation.png",
            result["by_domain"],  # type: ignore[arg-type]
            title="Speed by domain, measured, batch 1",
            y_label="times transformers' greedy",
            line=1.0,
        )
    return result


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="JSONL with id, domain, prompt; default: the project's own")
    parser.add_argument("--pool", type=Path, default=Path("speculative/demo_pool.toml"))
    parser.add_argument("--n-test", type=int, default=66, help="prompts measured by the clock")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--smoke", action="store_true", help="a minute's run that checks the script; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_test, options.max_new_tokens = 2, 8
    return options


def load_prompts(options: argparse.Namespace) -> tuple[list[Query], list[Query], dict[str, object]]:
    """Training prompts, measured prompts, and where they came from."""
    if options.prompts is None:
        train, test = demo_queries()
        test = pick_evenly(test, options.n_test)
        source: dict[str, object] = {"file": "the project's own (speculative/demo_prompts.jsonl)"}
    else:
        queries = read_queries(options.prompts)
        test = pick_evenly(sorted(queries, key=lambda query: digest(query.id.encode())), options.n_test)
        chosen = {query.id for query in test}
        train = [query for query in queries if query.id not in chosen]
        source = {"file": options.prompts.name, "sha256": digest(options.prompts.read_bytes())}
    train = train[:6] if options.smoke else train
    return train, test, {**source, "n_train": len(train), "n_test": len(test)}


def digest(content: bytes) -> str:
    """Hash that orders and names."""
    return hashlib.sha256(content).hexdigest()


def make_modes(pool: Pool, policies: dict[str, Policy], options: argparse.Namespace) -> dict[str, Mode]:
    """Everything that answers a prompt."""
    disable_progress_bar()
    peer = AutoModelForCausalLM.from_pretrained(pool.target.folder, dtype=torch.float32)
    modes = {name: arm_mode(pool, name) for name in pool.arms.names}
    modes |= {name: policy_mode(pool, name, policy, options.seed) for name, policy in policies.items()}
    return modes | {name: transformers_mode(pool.target, peer, name, **kwargs) for name, kwargs in PEERS.items()}


def summarise(
    runs: list[Run],
    pool: Pool,
    policies: dict[str, Policy],
    train: FullInformationData,
    queries: list[Query],
    options: argparse.Namespace,
) -> dict[str, object]:
    """Speeds, ratios with intervals, equality of texts and bars."""
    grouped = group_modes(runs, policies, pool.arms.names)
    peer = max(PEERS, key=lambda name: tokens_per_second(grouped[name]))
    fixed = BestFixedArm().fit(train)
    best_fixed = max(pool.arms.names, key=lambda name: tokens_per_second(grouped[name]))
    learned = max(
        (name for name in policies if name != "best fixed arm"),
        key=lambda name: tokens_per_second(grouped[name]),
    )
    loops = {run.query_id for run in grouped["no_draft"] if repeated_share(run.token_ids) > 0.5}
    oracle = oracle_lead(grouped, pool.arms.names, best_fixed)
    table = {
        name: {
            "tokens_per_second": tokens_per_second(mode),
            "times_transformers_greedy": vars_of(speed_ratio(mode, grouped["transformers greedy"])),
            "times_best_transformers_mode": vars_of(speed_ratio(mode, grouped[peer])),
            "times_best_fixed_arm": vars_of(speed_ratio(mode, grouped[best_fixed])),
            "times_best_transformers_mode_without_loops": vars_of(
                speed_ratio(without(mode, loops), without(grouped[peer], loops))
            ),
        }
        for name, mode in grouped.items()
    }
    plain = table["no_draft"]["times_transformers_greedy"]["value"]  # type: ignore[index]
    lead = table[learned]["times_best_transformers_mode"]["value"]  # type: ignore[index]
    over_fixed = table[learned]["times_best_fixed_arm"]["value"]  # type: ignore[index]
    bars = [
        bar("no draft over transformers' greedy", plain, 1.4),
        bar("best learned policy over transformers' best single mode", lead, 1.7),
        bar("best learned policy over the best fixed arm", over_fixed, 1.0),
    ]
    return {
        "modes": table,
        "best_transformers_mode": peer,
        "best_fixed_arm": best_fixed,
        "best_fixed_arm_of_training": fixed.arm_names[int(fixed.mean_rewards().argmax())],
        "best_learned_policy": learned,
        "oracle_over_best_fixed_arm": oracle,
        "looping_share": len(loops) / len(queries),
        "equality": equality(pool, queries, grouped),
        "bars": bars,
        "by_domain": by_domain(grouped, [*pool.arms.names, learned]),
        "max_new_tokens": options.max_new_tokens,
        "date": time.strftime("%Y-%m-%d"),
    }


def without(runs: list[Run], left_out: set[str]) -> list[Run]:
    """The runs on other prompts than these."""
    return [run for run in runs if run.query_id not in left_out]


def vars_of(ratio: object) -> dict[str, float]:
    """A ratio as JSON."""
    return {name: getattr(ratio, name) for name in ("value", "low", "high")}


def bar(name: str, value: float, needed: float) -> dict[str, object]:
    """One thing the benchmark is meant to reach."""
    return {"name": name, "value": value, "bar": needed, "holds": value >= needed}


def oracle_lead(grouped: dict[str, list[Run]], arms: Sequence[str], best_fixed: str) -> float:
    """Seconds of the best fixed arm over those of each prompt's fastest arm (one timing each: a little high)."""
    seconds = {name: {run.query_id: run.seconds for run in grouped[name]} for name in arms}
    fastest = sum(min(seconds[name][query] for name in arms) for query in seconds[best_fixed])
    return sum(seconds[best_fixed].values()) / fastest


def equality(pool: Pool, queries: list[Query], grouped: dict[str, list[Run]]) -> dict[str, dict[str, int]]:
    """Compare every mode's texts with no draft's: identical, parted at a tie, or different."""
    prompts = {query.id: pool.target.request(query).token_ids for query in queries}
    plain = {run.query_id: run.token_ids for run in grouped["no_draft"]}
    counts: dict[str, dict[str, int]] = {}
    for name, runs in grouped.items():
        if f"{name}{REAL}" in grouped:
            continue
        counts[name] = {"identical": 0, "tie": 0, "different": 0}
        for run in runs:
            found = compare_texts(pool.target.model, prompts[run.query_id], plain[run.query_id], run.token_ids)
            counts[name][found.kind] += 1
    return counts


def by_domain(grouped: dict[str, list[Run]], names: list[str]) -> dict[str, dict[str, float]]:
    """Speed over transformers' greedy in each domain."""
    domains = dict.fromkeys(run.domain for run in grouped["no_draft"])
    return {
        str(domain): {
            name: speed_ratio(
                [run for run in grouped[name] if run.domain == domain], grouped["transformers greedy"]
            ).value
            for name in names
        }
        for domain in domains
    }


def strip(runs: list[Run]) -> list[dict[str, object]]:
    """Timings without the texts, which belong to their authors."""
    return [
        {
            "query_id": run.query_id,
            "domain": run.domain,
            "mode": run.mode,
            "seconds": run.seconds,
            "n_tokens": len(run.token_ids),
            "select_s": run.select_s,
            "pick": run.pick,
        }
        for run in runs
    ]


def print_table(result: dict[str, object]) -> None:
    """Show the result."""
    for name, row in result["modes"].items():  # type: ignore[attr-defined]
        cells = [f"{row['tokens_per_second']:6.1f} tok/s"]
        for key in ("times_transformers_greedy", "times_best_transformers_mode", "times_best_fixed_arm"):
            ratio = row[key]
            cells.append(f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
        print(f"{name:40s} {'   '.join(cells)}")
    for key in ("best_transformers_mode", "oracle_over_best_fixed_arm", "looping_share", "equality", "bars"):
        print(key, result[key])


if __name__ == "__main__":
    main()
