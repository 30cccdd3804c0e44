"""Wall clock of every mode of generation, what passes cost, and the exactness check beside it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from results_pages.generation_costs import costs_lines
from results_pages.generation_prompts import prompts_lines
from results_pages.generation_summary import summary_lines
from results_pages.parts import (
    HOW_TO_READ,
    Record,
    bar_table,
    details,
    missing,
    origin,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    tables,
    transposed,
    two_digits,
)

_SCRIPT = "python examples/benchmarks/bench_generation.py"


def generation_page(folder: Path) -> str:
    """Wall clock of every mode against transformers, from bench_generation.json."""
    lines = page_head(
        "Generation",
        "How fast the engine generates, with each arm, rule and policy, against transformers' own modes on the "
        "same weights, prompts, threads and token limit. Total tokens over total seconds, prefill included. "
        "[What speed means](../explanation/design.md#what-speed-means) states the rules.",
    )
    record = read_record(folder / "bench_generation.json")
    if record is None:
        return page_text(lines, missing("make bench"))
    parts = record["parts"]
    lines += summary_lines(parts)
    lines += picture(folder, "bench_generation.png", "Speed by domain over transformers' greedy decoding")
    sections: tuple[tuple[str, str, Callable[[Path, Record], list[str]]], ...] = (
        ("single", "Batch 1, float32", _single),
        ("batch", "Batches, float32", _batch),
        ("int4", "The target's weights at 4 bits", _int4),
        ("costs", "What a pass and a round cost", costs_lines),
    )
    for name, heading, section in sections:
        lines += [f"## {heading}", ""]
        if name not in parts:
            lines += missing(f"{_SCRIPT} --only {name}")
            continue
        if name != "costs":
            lines += [f"Answers of at most {parts[name]['max_new_tokens']} tokens.", ""]
        lines += [*section(folder, parts[name]), *origin(parts[name]), ""]
    lines += ["## Prompts beside rounds", ""]
    prompts = read_record(folder / "bench_prompts.json")
    lines += missing("python examples/benchmarks/bench_prompts.py") if prompts is None else prompts_lines(prompts)
    bars = [*record["bars"], *([] if prompts is None else prompts["bars"])]
    return page_text([*lines, *_exactness(folder), *bar_table(bars)])


def _single(folder: Path, record: Record) -> list[str]:
    peer = record["best_transformers_mode"]
    references = {
        "times_transformers_greedy": "times transformers' greedy",
        "times_best_transformers_mode": f"times {peer}",
        "times_best_fixed_arm": f"times {record['best_fixed_arm']}",
        "times_best_transformers_mode_without_loops": f"times {peer}, without looping texts",
    }
    speeds = [
        *_speeds(record["modes"], references),
        HOW_TO_READ,
        "",
        f"- {peer} is transformers' best single mode, chosen after summing over all prompts.",
        f"- The per-prompt oracle over the best fixed arm ({record['best_fixed_arm']}): "
        f"{record['oracle_over_best_fixed_arm']:.2f} times. One timing each, so a little high.",
        f"- Texts that loop (over half of their 4-grams are repeats): {record['looping_share']:.0%}.",
        *_choices(record),
    ]
    return [
        *_domains(record["by_domain"], record["best_fixed_arm"]),
        *details("Every mode", speeds),
        *_equality("Texts against no draft's", record["equality"]),
    ]


def _choices(record: Record) -> list[str]:
    """Return what the rules choose from and what the suffix drafts know; nothing where a record does not say."""
    lines = []
    if "bandit_rules" in record:
        rules, arms = (", ".join(record[key]) for key in ("bandit_rules", "bandit_rules_choose_from"))
        lines.append(f"- {rules} choose before every round among {arms}.")
    if "measured_texts_in_stores" in record:
        lines.append(
            "- Suffix drafts also copy from outputs of the training prompts. Measured texts of 16 tokens or more that "
            f"stand there: {record['measured_texts_in_stores']}."
        )
    return lines


def _batch(folder: Path, record: Record) -> list[str]:
    references = {
        "times_no_draft_batch_1": "times no draft at batch 1",
        "times_transformers_greedy_batch_8": "times transformers' greedy at batch 8",
    }
    return [
        *_speeds(record["modes"], references),
        f"One engine answers {record['n_groups']} groups of {record['group_size']} prompts; requests join as others "
        "leave. Transformers' batches are padded on the left and run until their last text ends. Brackets: "
        f"bootstrap over {record['n_groups']} groups, so hardly more than their range.",
        "",
        "Share of the seconds spent on reading prompts: "
        + ", ".join(
            f"{name} {mode['prefill_share']:.0%}" for name, mode in record["modes"].items() if mode["prefill_share"]
        )
        + ".",
        "",
        *_equality("Texts against no draft's at batch 1", record["equality"]),
    ]


def _int4(folder: Path, record: Record) -> list[str]:
    references = {
        "times_fastest_transformers_mode": f"times {record['fastest_transformers_mode']}",
        "times_no_draft": "times no draft",
    }
    return [
        *_speeds(record["modes"], references),
        f"{record['fastest_transformers_mode']} is transformers' fastest mode of both dtypes. Batch-invariant: "
        "arithmetic that makes texts equal bit by bit. Brackets: 95 % bootstrap intervals over prompts.",
        "",
        *_equality("Texts against no draft's, both at 4 bits", record["equality"]),
    ]


def _speeds(modes: Mapping[str, Record], references: Mapping[str, str]) -> list[str]:
    rows = [
        [name, f"{mode['tokens_per_second']:.1f}", *(_ratio(mode[key]) for key in references)]
        for name, mode in modes.items()
    ]
    return [*table(["mode", "tokens/s", *references.values()], rows), ""]


def _ratio(cell: Record | None) -> str:
    return "" if cell is None else two_digits(cell)


def _exactness(folder: Path) -> list[str]:
    """Logits against transformers', and real rounds against replay's, from check_exactness.json."""
    record = read_record(folder / "check_exactness.json")
    if record is None:
        return []
    logits = record["logits"]
    rows = [
        [name, str(counts["equal"]), str(counts["different"])] for name, counts in record["replayed_rounds"].items()
    ]
    return [
        "",
        "## Logits and replay, checked",
        "",
        f"Largest differences of float32 logits, all positions of up to 10 prompts (largest logit "
        f"{logits['largest logit']:.0f}): engine and transformers {logits['own - transformers']:.1e}, "
        f"engine and float64 {logits['own - float64']:.1e}, "
        f"transformers and float64 {logits['transformers - float64']:.1e}.",
        "",
        f"Rounds (tokens proposed and accepted in each) of real runs against those that replay predicts, "
        f"{record['n_prompts']} prompts:",
        "",
        *table(["arm", "equal", "different"], rows),
        "",
        *origin(record, "How they were checked"),
        *_switching(record.get("switching")),
    ]


def _switching(record: Record | None) -> list[str]:
    """Texts written while arms switch at random, from check_exactness.json."""
    if record is None:
        return []
    return [
        "",
        "## Texts under random switching, checked",
        "",
        f"{record['n_prompts']} prompts; every round of every request goes to an arm drawn at random. Greedy texts "
        "against no draft's, sampled ones (coupled, temperature 0.8, top-p 0.95) against no draft's with equal seeds.",
        "",
        *_equality("Texts against no draft's", record["texts"]),
        *origin(record, "How they were compared"),
    ]


def _domains(by_domain: Mapping[str, Mapping[str, float]], best: str) -> list[str]:
    names = list(dict.fromkeys(name for row in by_domain.values() for name in row))
    rows = [
        [domain, *(f"{row[name]:.2f}" if name in row else "" for name in names)] for domain, row in by_domain.items()
    ]
    lead = [[domain, f"{row['no_draft']:.2f}", _fastest(row), _cell(row, best)] for domain, row in by_domain.items()]
    heads = ["domain", "no draft", "fastest of all", f"`{best}`"]
    return [
        "By domain, times transformers' greedy decoding; the fastest is chosen with hindsight:",
        "",
        *table(heads, lead),
        "",
        *details("By domain, every mode", tables(*transposed(["domain", *names], rows))),
    ]


def _fastest(row: Mapping[str, float]) -> str:
    name = max(row, key=lambda mode: row[mode])
    return f"{row[name]:.2f} ({name})"


def _cell(row: Mapping[str, float], name: str) -> str:
    return f"{row[name]:.2f}" if name in row else ""


def _equality(summary: str, counts: Mapping[str, Record]) -> list[str]:
    kinds = ("identical", "tie", "different")
    gaps: Sequence[float] = [row["largest_gap"] for row in counts.values() if "largest_gap" in row]
    rows = [[name, *(str(row[kind]) for kind in kinds)] for name, row in counts.items()]
    lines = [
        *table(["mode", *kinds], rows),
        "",
        "A tie: at the first difference the target's two best logits lie within 1e-4 of each other.",
    ]
    if gaps:
        lines += ["", f"Largest gap of the two best logits where texts part: {max(gaps):.1e}."]
    return details(summary, lines)
