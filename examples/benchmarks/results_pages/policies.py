"""The demo's policies, whether they pay, and every reward's table."""

import json
from pathlib import Path

from bandits.evaluation import Evaluation
from results_pages.parts import (
    HOW_TO_READ,
    Record,
    details,
    machine_line,
    missing,
    origin,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    tables,
    three_digits,
    two_digits,
)


def policies_page(folder: Path) -> str:
    """Return the demo's policies, replayed and in wall-clock time, and every reward's table."""
    lines = page_head(
        "Policies and rewards",
        "What learned policies bring on held-out prompts, against each fixed arm, no draft and the per-query oracle.",
    )
    demo = read_record(folder / "demo.json")
    lines += missing("make demo") if demo is None else [*_summary(demo), *_demo(folder, demo)]
    rewards = read_record(folder / "bench_rewards.json")
    lines += ["", "## Other rewards", ""]
    if rewards is None:
        return page_text(lines, missing("python examples/benchmarks/bench_rewards.py"))
    lines += [
        "Policies trained and valued on each reward, on the same observations: a collection of its own on the demo's "
        "prompts, whose arms are those of the tables.",
        "",
    ]
    for name, evaluation in rewards["rewards"].items():
        lines += details(name, _evaluation(evaluation))
    return page_text(lines + _reward_seconds(rewards) + _label_seconds(rewards) + origin(rewards))


def _reward_seconds(rewards: Record) -> list[str]:
    """Return what valuing observations costs, where that was measured."""
    if "reward_seconds" not in rewards:
        return []
    rows = [[f"`{name}`", f"{one['n']:,}", f"{one['seconds']:.2f}"] for name, one in rewards["reward_seconds"].items()]
    kept = ""
    if any("vectors=" in name for name in rewards["reward_seconds"]):
        kept = " Vectors that are kept in a folder are read again; random ones of the same size stood in for them."
    return [
        "",
        "## What a reward costs",
        "",
        "Processor seconds to value stored observations, one after the other, all texts different; sentence embeddings "
        f"on fewer of them.{kept}",
        "",
        *table(["reward", "observations", "processor seconds"], rows),
        "",
    ]


def _label_seconds(rewards: Record) -> list[str]:
    """Return what both kinds of labels cost, where that was measured."""
    if "label_seconds" not in rewards:
        return []
    rows = [
        [f"`{name}`", f"{one['traced']:.4f}", f"{one['own']:.4f}", f"{one['own'] / one['traced']:.1f}"]
        for name, one in rewards["label_seconds"].items()
        if one["own"] is not None
    ]
    return [
        "",
        "## What labels cost",
        "",
        f"Mean seconds a query of each draft's labels, on {rewards['label_threads']} threads: tracing it on the "
        "target's text, which labels all arms of the draft, or letting it write alone, as Huang et al. 2024 do. Both "
        f"need the target's text besides. Answers have at most {rewards['max_new_tokens']} tokens; the longer they are "
        "beside their prompts, the more tracing saves.",
        "",
        *table(["draft", "traced", "own text", "times as long"], rows),
        "",
    ]


def _summary(demo: Record) -> list[str]:
    """Return the answers to what a reader asks first: the speed, and whether choosing pays."""
    evaluation = demo["evaluation"]
    rows = {row["name"]: row for row in evaluation["rows"]}
    learned = [row for row in rows.values() if row["kind"] == "policy" and row["name"] != "best fixed arm"]
    lines = ["## In short", "", f"- **In wall-clock time**: {demo['conclusion']}"]
    fixed = evaluation["best_fixed_arm"]
    if learned and fixed:
        best = max(learned, key=lambda row: float(row["value"]))
        lines.append(
            f"- **Does choosing pay?** By replay of {evaluation['n_queries']} held-out prompts, {best['name']} saves "
            f"{three_digits(best['difference'])} s a query more than always `{fixed}`: "
            f"{_conclusion(best['difference'])}. Each prompt's best arm, known in hindsight, would save "
            f"{three_digits(rows['oracle']['difference'])} more."
        )
    equality = demo["equality"]
    total = sum(equality[kind] for kind in ("identical", "tie", "different"))
    lines.append(
        f"- **Is the text the same?** {equality['identical']} of {total} texts are identical to those of no draft."
    )
    return [*lines, ""]


def _conclusion(difference: Record) -> str:
    if difference["low"] > 0:
        return "it pays"
    return "it costs" if difference["high"] < 0 else "the interval includes zero, so this says neither yes nor no"


def _demo(folder: Path, demo: Record) -> list[str]:
    references = list(next(iter(demo["ratios"].values())))
    clock = [
        [name, f"{demo['speeds'][name]:.1f}", *(two_digits(ratios[reference]) for reference in references)]
        for name, ratios in demo["ratios"].items()
    ]
    equality = demo["equality"]
    return [
        "## In wall-clock time",
        "",
        f"{demo['n_timed']} held-out prompts of at most {demo['max_new_tokens']} new tokens, every mode on every "
        f"prompt, interleaved; transformers on {demo['n_transformers']} of them. {machine_line(demo)}",
        "",
        *tables(["mode", "tokens/s", *(f"times {reference}" for reference in references)], clock),
        "",
        HOW_TO_READ,
        "",
        f"Texts compared with no draft's: {equality['identical']} identical, {equality['tie']} parted at a tie of "
        f"the target's two best logits, {equality['different']} different. Texts that loop: "
        f"{demo['looping_share']:.0%}.",
        "",
        "## Held-out prompts by replay",
        "",
        *_evaluation(demo["evaluation"]),
        "",
        *picture(folder, "demo_speed.png", "Measured speed of every arm, policy and transformers mode"),
        *picture(folder, "demo_speed_by_domain.png", "Speed by domain and arm on held-out prompts, replayed"),
        *picture(folder, "demo_picks_by_domain.png", "Each policy's choices by domain"),
    ]


def _evaluation(record: Record) -> list[str]:
    evaluation = Evaluation.from_json(json.dumps(record))
    columns = ["regret"]
    columns += ["speedup", "slower_share"] if evaluation.baseline_arm else []
    columns += ["difference"] if evaluation.best_fixed_arm else []
    rows = [[row.name, str(row), *(str(getattr(row, column)) for column in columns)] for row in evaluation]
    notes = [f"{evaluation.n_queries} queries, {evaluation.confidence:.0%} bootstrap intervals."]
    if evaluation.baseline_arm:
        notes.append(f"Speedup and slower share are against {evaluation.baseline_arm}.")
    if evaluation.best_fixed_arm:
        notes.append(f"Difference is against {evaluation.best_fixed_arm}, the best arm of the training data.")
    if evaluation.n_left_out:
        notes.append(f"{evaluation.n_left_out} rows without every arm's reward were left out.")
    return [*table(["", "value", *(column.replace("_", " ") for column in columns)], rows), "", " ".join(notes)]
