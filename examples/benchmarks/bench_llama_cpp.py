"""draftpick beside llama.cpp's own server on the same GGUF file: no draft, n-gram drafts, a small model as draft.

Both get the same token ids and threads, answer greedily, one request at a time, in alternation. llama.cpp runs in the
peers' environment (`make bench-peers` makes it) as the wheel of xllamacpp has it; the JSON says which instruction sets
that build uses. Texts are compared with llama.cpp's, and those of the pool's arms with its own without a draft.

    python examples/benchmarks/bench_llama_cpp.py --pool pool.toml --model target.gguf --draft small.gguf
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from llama_cpp_bench.facts import command_line, equality_with, file_facts, pool_facts
from llama_cpp_bench.server import LlamaServer, server_mode

from arms import Query, read_queries
from arms.atomic_file import write_file
from bandits import load_policy
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.measuring.machine import machine_facts
from speculative.measuring.wall_clock import Mode, Run, arm_mode, measure, policy_mode, speed_ratio, tokens_per_second
from speculative.pools.pool import Pool

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
LLAMA = "llama.cpp, "
PLAIN, NGRAM, DRAFT = (LLAMA + what for what in ("no draft", "ngram-simple", "draft model"))
NO_DRAFT = "no_draft"


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Measure, print, and write `llama_cpp_NAME.json`."""
    options = _parser().parse_args(arguments)
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    pool = Pool.load(options.pool)
    if NO_DRAFT not in pool.arms.names:
        raise SystemExit(f"{options.pool} must have an arm {NO_DRAFT}, which the others' texts are compared with")
    queries = _queries(options)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(LlamaServer(command)) for name, command in commands(options).items()}
        modes = {name: server_mode(server, pool.target, name) for name, server in servers.items()}
        own = own_modes(pool, options.policy, options.seed)
        modes |= own
        runs = measure(queries, modes, options.seed, on_progress=lambda: print(".", end="", flush=True))
        build = {"version": servers[PLAIN].version, "system": servers[PLAIN].system}
    result = {
        **figures(runs, list(modes), options.seed),
        "name": options.name,
        "llama_cpp": {
            **build,
            "model": file_facts(options.model),
            "draft": options.draft and file_facts(options.draft),
        },
        "pool": pool_facts(pool),
        "equality": equality_with(NO_DRAFT, pool, queries, [run for run in runs if run.mode in own]),
        "n_queries": len(queries),
        "prompts": "the project's own, held out" if options.prompts is None else file_facts(options.prompts),
        "max_new_tokens": options.max_new_tokens,
        "command": command_line("examples/benchmarks/bench_llama_cpp.py", arguments or sys.argv[1:]),
        "machine": machine_facts(),
        "seed": options.seed,
        "date": time.strftime("%Y-%m-%d"),
    }
    write_file(options.results / f"llama_cpp_{options.name}.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="whose arms run; its target is the model")
    parser.add_argument("--model", type=Path, required=True, help="GGUF file of the pool's target")
    parser.add_argument("--draft", type=Path, help="GGUF file of a small model, for llama.cpp's draft-model mode")
    parser.add_argument("--policy", type=Path, help="saved policy of the pool, which runs too")
    parser.add_argument("--prompts", type=Path, help="JSONL; default: the project's own held-out prompts")
    parser.add_argument("--n", type=int, default=24, help="prompts, taken in turn from each domain")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, help="of both; default: torch's")
    parser.add_argument("--context", type=int, default=4096, help="of llama.cpp's server, tokens")
    parser.add_argument("--peers-python", default=str(ROOT / ".venv-peers" / "bin" / "python"))
    parser.add_argument("--serve", default=str(Path(__file__).parent / "llama_cpp_bench" / "serve.py"))
    parser.add_argument("--name", default="pool", help="of the result: llama_cpp_NAME.json")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser


def commands(options: argparse.Namespace) -> dict[str, list[str]]:
    """Return what starts each of llama.cpp's modes."""
    base = [options.peers_python, options.serve, str(options.model)]
    base += ["--threads", str(torch.get_num_threads()), "--context", str(options.context)]
    found = {PLAIN: base, NGRAM: [*base, "--ngram"]}
    return found if options.draft is None else {**found, DRAFT: [*base, "--draft", str(options.draft)]}


def own_modes(pool: Pool, policy: Path | None, seed: int) -> dict[str, Mode]:
    """Return every arm of the pool, and the policy where one is given."""
    modes = {arm.name: arm_mode(arm) for arm in pool.arms}
    if policy is not None:
        loaded = load_policy(policy, arm_names=pool.arms.names)
        name = type(loaded).__name__
        modes[name] = policy_mode(pool.arms, pool.encoder, loaded, name=name, seed=seed)
    return modes


def figures(runs: Sequence[Run], names: Sequence[str], seed: int) -> dict[str, object]:
    """Return tokens a second of each mode, its speed over llama.cpp's plain and its fastest mode, and the bars."""
    by_mode = {name: [run for run in runs if run.mode == name] for name in names}
    speeds = {name: tokens_per_second(own) for name, own in by_mode.items()}
    fastest = max((name for name in names if name.startswith(LLAMA)), key=speeds.__getitem__)
    plain = {run.query_id: run.token_ids for run in by_mode[PLAIN]}
    rows = []
    for name, own in by_mode.items():
        rows.append(
            {
                "name": name,
                "tokens_per_second": speeds[name],
                "over plain": asdict(speed_ratio(own, by_mode[PLAIN], seed)),
                "over fastest": asdict(speed_ratio(own, by_mode[fastest], seed)),
                "same_text": sum(run.token_ids == plain[run.query_id] for run in own),
            }
        )
        print(f"\n{name:<28} {speeds[name]:7.2f} tokens/s, {rows[-1]['same_text']} texts as llama.cpp's", end="")
    print()
    return {"rows": rows, "fastest_llama_cpp_mode": fastest, "bars": bars(rows)}


def bars(rows: Sequence[dict[str, Any]]) -> list[dict[str, object]]:
    """Return what is watched: plain decoding and the fastest mode are not slower than llama.cpp's fastest mode."""
    own = [row for row in rows if not row["name"].startswith(LLAMA)]
    fastest = max(own, key=lambda row: row["tokens_per_second"])
    watched = {"no draft": next(row for row in own if row["name"] == NO_DRAFT), f"fastest, {fastest['name']}": fastest}
    return [
        {
            "name": f"{name}, times llama.cpp's fastest mode",
            **row["over fastest"],
            "bar": 1.0,
            "holds": row["over fastest"]["value"] >= 1.0,
        }
        for name, row in watched.items()
    ]


def _queries(options: argparse.Namespace) -> list[Query]:
    queries = demo_queries()[1] if options.prompts is None else read_queries(options.prompts)
    limit = {"max_new_tokens": options.max_new_tokens}
    return [query.model_copy(update=limit) for query in pick_evenly(queries, options.n)]


if __name__ == "__main__":
    main()
