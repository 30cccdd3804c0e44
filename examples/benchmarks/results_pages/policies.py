"""The demo's policies and every reward's table."""

import json
from pathlib import Path

from bandits import Evaluation
from results_pages.parts import (
    HOW_TO_READ,
    Record,
    machine_line,
    missing,
    origin,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    two_digits,
)


def policies_page(folder: Path) -> str:
    """The demo's policies by replay and by the clock, and every reward's table."""
    lines = page_head(
        "Policies and rewards",
        "What learned policies bring on held-out prompts, against each fixed arm, no draft and the per-query oracle.",
    )
    demo = read_record(folder / "demo.json")
    lines += ["## The demo", ""]
    lines += missing("make demo") if demo is None else _demo(folder, demo)
    rewards = read_record(folder / "bench_rewards.json")
    lines += ["", "## Other rewards, the same observations", ""]
    if rewards is None:
        return page_text(lines, missing("python examples/benchmarks/bench_rewards.py"))
    for name, evaluation in rewards["rewards"].items():
        lines += [f"### {name}", "", *_evaluation(evaluation), ""]
    return page_text(lines + origin(rewards))


def _demo(folder: Path, demo: Record) -> list[str]:
    references = list(next(iter(demo["ratios"].values())))
    clock = [
        [name, f"{demo['speeds'][name]:.1f}", *(two_digits(ratios[reference]) for reference in references)]
        for name, ratios in demo["ratios"].items()
    ]
    equality = demo["equality"]
    return [
        f"> {demo['verdict']}",
        "",
        f"{demo['n_timed']} held-out prompts of at most {demo['max_new_tokens']} new tokens, every mode on every "
        f"prompt, interleaved; transformers on {demo['n_transformers']} of them. {machine_line(demo)}",
        "",
        *picture(folder, "demo_speed_by_domain.png", "Speed by domain and arm on held-out prompts, replayed"),
        "### By the clock",
        "",
        *table(["mode", "tokens/s", *(f"times {reference}" for reference in references)], clock),
        "",
        HOW_TO_READ,
        "",
        f"Texts compared with no draft's: {equality['identical']} identical, {equality['tie']} parted at a tie of "
        f"the target's two best logits, {equality['different']} different. Texts that loop: "
        f"{demo['looping_share']:.0%}.",
        "",
        "### Held-out prompts by replay",
        "",
        *_evaluation(demo["evaluation"]),
        "",
        *picture(folder, "demo_picks_by_domain.png", "Each policy's picks by domain"),
    ]


def _evaluation(record: Record) -> list[str]:
    evaluation = Evaluation.from_json(json.dumps(record))
    columns = ["value", "regret"]
    columns += ["speedup", "slower_share"] if evaluation.baseline_arm else []
    columns += ["difference"] if evaluation.best_fixed_arm else []
    rows = [[row.name, *(str(getattr(row, column)) for column in columns)] for row in evaluation.rows]
    notes = [f"{evaluation.n_queries} queries, {evaluation.confidence:.0%} bootstrap intervals."]
    if evaluation.baseline_arm:
        notes.append(f"Speedup and slower share are against {evaluation.baseline_arm}.")
    if evaluation.best_fixed_arm:
        notes.append(f"Difference is against {evaluation.best_fixed_arm}, the best arm of the training data.")
    if evaluation.n_left_out:
        notes.append(f"{evaluation.n_left_out} rows without every arm's reward were left out.")
    return [*table(["", *(column.replace("_", " ") for column in columns)], rows), "", " ".join(notes)]
