"""How fast is generation? Arms, rules and learned policies against transformers, same weights and prompts.

    python examples/benchmarks/bench_generation.py  # all parts, the project's own prompts
    python examples/benchmarks/bench_generation.py --prompts FILE.jsonl  # any JSONL with id, domain, prompt
    python examples/benchmarks/bench_generation.py --only costs int4  # these parts; others stay
    python examples/benchmarks/bench_generation.py --smoke  # a few tokens; writes nothing

single  batch 1, float32: every arm, threshold and bandit rule, and policies that learned from the training prompts by
        replay, against transformers' greedy decoding, prompt lookup and assisted generation.
batch   batch 1, 4 and 8 through one engine.
int4    the target's weights at 4 bits, against transformers' fastest mode of any dtype.
costs   passes, rounds, sampling, and what the memory's bandwidth would allow.

`make bench` gives the published figures, with more prompts and, for batch and int4, longer answers: on two cores
twenty minutes each for single and batch, ten for int4, two for costs. Modes alternate in one process, prompt by prompt;
prefill, encoding and choosing count. Each part replaces its own figures in docs/results/bench_generation.json and
leaves the others'.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from generation_bench.batch import measure_batch
from generation_bench.bench import Bench
from generation_bench.costs import measure_costs_part
from generation_bench.four_bits import measure_four_bits
from generation_bench.single import measure_single

from arms.atomic_file import write_file
from speculative.demo.plots import bars_by_group
from speculative.measuring.machine import machine_facts

RESULTS = Path(__file__).parents[2] / "docs" / "results"
POOLS = Path(__file__).parent / "generation_bench"
PARTS = ("single", "batch", "int4", "costs")


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_generation.json`, its timings and its plot."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    bench = Bench(options)
    result = {"parts": {}, "bars": []} if options.smoke else read(options.results / "bench_generation.json")
    words = sys.argv[1:] if arguments is None else arguments
    command = " ".join(["python examples/benchmarks/bench_generation.py", *(Path(word).name for word in words)])
    for part in (name for name in PARTS if name in options.only):
        begin = time.perf_counter()
        found = measure_part(part, bench, result["parts"].get("single"))
        origin = {
            "seconds": round(time.perf_counter() - begin, 1),
            "prompts": bench.prompts.source,
            "max_new_tokens": options.max_new_tokens,
            "command": command,
            "date": time.strftime("%Y-%m-%d"),
            "machine": machine_facts(),
            "seed": options.seed,
        }
        result = merge(result, part, found | origin)
        show(part, result["parts"][part])
        sys.stdout.flush()
        if not options.smoke:
            write(options.results, result, bench.runs)
    return result


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--prompts", type=Path, help="JSONL with id, domain, prompt; default: the project's own")
    parser.add_argument("--pool", type=Path, default=POOLS / "pool.toml")
    parser.add_argument("--int4-pool", type=Path, default=POOLS / "pool_int4.toml")
    parser.add_argument("--n-train", type=int, default=70, help="prompts that policies and stores learn from")
    parser.add_argument("--n-test", type=int, default=10, help="prompts measured at batch 1")
    parser.add_argument("--n-batch", type=int, default=48, help="prompts measured in batches, in groups of 24")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that is written to")
    parser.add_argument("--smoke", action="store_true", help="checks the script; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_train, options.n_test, options.n_batch, options.max_new_tokens = 6, 2, 4, 6
    return options


def measure_part(part: str, bench: Bench, single: Mapping[str, Any] | None) -> dict[str, Any]:
    """Run one part."""
    if part == "single":
        return measure_single(bench)
    if part == "batch":
        return measure_batch(bench, single)
    return measure_four_bits(bench) if part == "int4" else measure_costs_part(bench)


def read(path: Path) -> dict[str, Any]:
    """Return what was measured before."""
    empty: dict[str, Any] = {"parts": {}, "bars": []}
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else empty


def merge(result: Mapping[str, Any], part: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """Put a part's figures in place of its old ones; the bars are all parts' bars."""
    parts = {**result["parts"], part: found}
    return {"parts": parts, "bars": [bar for name in PARTS if name in parts for bar in parts[name]["bars"]]}


def write(folder: Path, result: Mapping[str, Any], runs: Mapping[str, Any]) -> None:
    """Write figures, timings and plot."""
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "bench_generation.json", json.dumps(result, indent=1) + "\n")
    path = folder / "bench_generation_runs.json"
    old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_file(path, json.dumps({**old, **runs}) + "\n")
    if "single" in result["parts"]:
        bars_by_group(
            folder / "bench_generation.png",
            fastest_by_domain(result["parts"]["single"]),
            title="Speed by domain, measured, batch 1",
            x_label="times transformers' greedy",
            line=1.0,
        )


def fastest_by_domain(single: Mapping[str, Any], n: int = 7) -> dict[str, dict[str, float]]:
    """Of the speeds by domain, no draft's and those of the fastest other modes, as many as a plot can show."""
    modes, by_domain = single["modes"], single["by_domain"]
    names = list(next(iter(by_domain.values())))
    names.sort(key=lambda name: (name != "no_draft", -float(modes[name]["tokens_per_second"])))
    return {domain: {name: row[name] for name in names[:n]} for domain, row in by_domain.items()}


def show(part: str, record: Mapping[str, Any]) -> None:
    """Print a part: speeds with their ratios, then the rest."""
    print(f"== {part}, {record['seconds']} s")
    for name, row in record.get("modes", {}).items():
        cells = [f"{row['tokens_per_second']:6.1f} tok/s"]
        for ratio in (value for value in row.values() if isinstance(value, dict)):
            cells.append(f"{ratio['value']:.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}]")
        print(f"{name:60s} {'   '.join(cells)}")
    hidden = {"modes", "bars", "replayed", "by_domain", "machine", "seconds"}
    for key in (key for key in record if key not in hidden):
        print(f"{key}: {json.dumps(record[key])}")
    for bar in record["bars"]:
        sign = "<=" if bar.get("at_most") else ">="
        print(
            f"{'reached' if bar['holds'] else 'MISSED':8s}{bar['name']}: {bar['value']:.2f} ({sign} {bar['bar']:.2f})"
        )


if __name__ == "__main__":
    main()
