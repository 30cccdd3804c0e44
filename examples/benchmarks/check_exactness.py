"""Is the text really the target's? Logits, texts and replayed rounds of the real models, checked one by one.

1. Float32 logits of the engine's decoder against transformers' on the same weights.
2. Greedy text of every arm against no draft's, and no draft's against transformers' `generate`.
3. Rounds that replay predicts against the rounds of the real runs: proposed and accepted, draft by draft.
4. Text while every round of every request goes to a random arm, at batch 1 and 8: greedy against no draft's, sampled
   under coupling against no draft's with the same seed.

    python examples/benchmarks/check_exactness.py
    python examples/benchmarks/check_exactness.py --prompts FILE.jsonl --n 60
    python examples/benchmarks/check_exactness.py --prompts FILE.jsonl --n 200 --only switching
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from transformers import AutoModelForCausalLM
from transformers.utils.logging import disable_progress_bar

from arms import Query, read_queries
from arms.atomic_file import write_file
from speculative.collection.arm_plan import ArmPlan
from speculative.collection.replay import replay
from speculative.collection.tracing import trace_queries
from speculative.demo.queries import demo_queries, pick_evenly
from speculative.engine.generate import generate
from speculative.measuring.cost_cache import cached_costs
from speculative.measuring.machine import machine_facts
from speculative.measuring.text_equality import compare_texts
from speculative.measuring.wall_clock import transformers_mode
from speculative.models.settings import DEFAULT_CACHE
from speculative.pools.pool import Pool
from speculative.pools.spec import read_pool_spec
from speculative.protocols.request import Generation
from speculative.protocols.selector import RoundContext, Selector
from speculative.protocols.token_batch import TokenBatch
from speculative.sampling.sampling_params import SamplingParams
from speculative.selectors.fixed import FixedSelector

PARTS = ("texts", "switching")
RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Check everything and write `docs/results/check_exactness.json`; exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=Path, help="JSONL with id, domain, prompt; default: the project's own")
    parser.add_argument("--pool", type=Path, default=Path("speculative/demo/pool.toml"))
    parser.add_argument("--n", type=int, default=56, help="prompts, taken in turn from each domain")
    parser.add_argument("--n-sampled", type=int, default=50, help="of these, prompts whose sampled texts are compared")
    parser.add_argument("--max-new-tokens", type=int, default=48)
    parser.add_argument(
        "--only", choices=PARTS, nargs="+", default=PARTS, help="parts to run; others keep their figures"
    )
    parser.add_argument("--smoke", action="store_true", help="two prompts; writes nothing")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n, options.max_new_tokens = 2, 8
    disable_progress_bar()
    queries = pick_evenly(demo_queries()[1] if options.prompts is None else read_queries(options.prompts), options.n)
    pool = Pool.of(read_pool_spec(options.pool).model_copy(update={"max_new_tokens": options.max_new_tokens}))
    origin = {
        "n_prompts": len(queries),
        "prompts": "the project's own" if options.prompts is None else options.prompts.name,
        "command": f"python examples/benchmarks/check_exactness.py {' '.join(arguments or sys.argv[1:])}".strip(),
        "machine": machine_facts(),
        "date": time.strftime("%Y-%m-%d"),
    }
    file = RESULTS / "check_exactness.json"
    result: dict[str, object] = json.loads(file.read_text()) if len(options.only) < len(PARTS) else {}
    if "texts" in options.only:
        peer = AutoModelForCausalLM.from_pretrained(pool.target.folder, dtype=torch.float32)
        result |= {"logits": check_logits(pool, peer, queries[: min(10, options.n)])}
        result |= check_texts(pool, peer, queries) | origin
    if "switching" in options.only:
        result["switching"] = check_switching(pool, queries, queries[: options.n_sampled]) | origin
    print(json.dumps(result, indent=1))
    if not options.smoke:
        write_file(file, json.dumps(result, indent=1) + "\n")
    return result


def check_logits(pool: Pool, peer: torch.nn.Module, queries: Sequence[Query]) -> dict[str, float]:
    """Largest difference between the two float32 computations, and of each from float64."""
    largest = Counter[str]()
    exact = AutoModelForCausalLM.from_pretrained(pool.target.folder, dtype=torch.float64)
    for query in queries:
        ids = torch.tensor(pool.target.request(query).token_ids)
        model = pool.target.model
        own = model.forward(TokenBatch(ids, [len(ids)]), model.new_cache(1, len(ids))).logits
        with torch.inference_mode():
            theirs, truth = peer(ids[None]).logits[0], exact(ids[None]).logits[0]
        pairs = {
            "own - transformers": (own, theirs),
            "own - float64": (own, truth),
            "transformers - float64": (theirs, truth),
        }
        for name, (a, b) in pairs.items():
            largest[name] = max(largest[name], float((a.double() - b.double()).abs().max()))  # type: ignore[assignment]
        largest["largest logit"] = max(largest["largest logit"], float(truth.abs().max()))  # type: ignore[assignment]
    return dict(largest)


def check_texts(pool: Pool, peer: torch.nn.Module, queries: Sequence[Query]) -> dict[str, object]:
    """Texts of every arm and of transformers, and rounds of every arm against replay."""
    texts: dict[str, Counter[str]] = {}
    rounds: dict[str, Counter[str]] = {}
    reference = transformers_mode(pool.target, peer, "transformers")
    costs = cached_costs(pool.target.model, pool.target.name, pool.drafts, DEFAULT_CACHE / "profiles")
    for query in track(queries, description="checking", console=Console(stderr=True)):
        prompt = pool.target.request(query).token_ids
        runs = {arm.name: run_arm(pool, index, query) for index, arm in enumerate(pool.arms)}
        plain = runs["no_draft"].token_ids
        others = {name: run.token_ids for name, run in runs.items() if name != "no_draft"}
        others["transformers"] = reference(query).token_ids
        for name, token_ids in others.items():
            found = compare_texts(pool.target.model, prompt, plain, token_ids)
            texts.setdefault(name, Counter(identical=0, tie=0, different=0))[found.kind] += 1
        trace = trace_queries([query], pool.arms, pool.encoder)[0]
        for arm in pool.arms:
            predicted = replay(trace, ArmPlan.of(arm), costs)
            stats = runs[arm.name].stats
            same = (list(predicted.proposed), list(predicted.accepted)) == (stats.proposed, stats.accepted)
            rounds.setdefault(arm.name, Counter(equal=0, different=0))["equal" if same else "different"] += 1
    return {"texts": {k: dict(v) for k, v in texts.items()}, "replayed_rounds": {k: dict(v) for k, v in rounds.items()}}


class RandomSelector(Selector):
    """Any arm in any round."""

    def __init__(self, n_arms: int, seed: int) -> None:
        self._n_arms, self._rng = n_arms, random.Random(seed)

    def select(self, rounds: Sequence[RoundContext]) -> Sequence[int]:
        """One arm for each request."""
        return [self._rng.randrange(self._n_arms) for _ in rounds]


def check_switching(pool: Pool, queries: Sequence[Query], sampled: Sequence[Query]) -> dict[str, object]:
    """Texts written while arms switch at random every round, against no draft's alone."""
    arms = list(pool.arms)
    ways = {"greedy": SamplingParams(), "coupled": SamplingParams(0.8, top_p=0.95, seed=1)}
    counts: dict[str, Counter[str]] = {}
    for way, sampling in ways.items():
        requests = [pool.target.request(query, sampling) for query in (queries if way == "greedy" else sampled)]
        plain_arm = [arm for arm in arms if arm.draft_length == 0][:1]
        plain = generate(pool.target.engine(plain_arm), requests)
        for size in (1, 8):
            engine = pool.target.engine(arms, RandomSelector(len(arms), size), max_batch=size)
            found = generate(engine, requests)
            count = counts.setdefault(f"{way}, batch {size}", Counter(identical=0, tie=0, different=0))
            for request, alone, mixed in zip(requests, plain, found, strict=True):
                if way == "greedy":
                    model = pool.target.model
                    kind = compare_texts(model, request.token_ids, alone.token_ids, mixed.token_ids).kind
                else:
                    kind = "identical" if alone.token_ids == mixed.token_ids else "different"
                count[kind] += 1
            Console(stderr=True).print(f"{way}, batch {size}: {dict(count)}")
    return {"texts": {name: dict(count) for name, count in counts.items()}}


def run_arm(pool: Pool, action: int, query: Query) -> Generation:
    """Run one arm."""
    engine = pool.target.engine(pool.arms, FixedSelector(action))
    return generate(engine, [pool.target.request(query)])[0]


if __name__ == "__main__":
    found = main()
    tables = [found.get("texts", {}), found.get("replayed_rounds", {}), found.get("switching", {}).get("texts", {})]  # type: ignore[attr-defined]
    wrong = [row["different"] for table in tables for row in table.values()]
    sys.exit(1 if any(wrong) else 0)
