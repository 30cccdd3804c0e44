"""The live policy on two real engines, beside each of them alone, and shadow's estimate beside what live earned."""

from pathlib import Path

from results_pages.parts import bar_table, missing, origin, read_record, table

COMMAND = "python examples/benchmarks/bench_serving_engines.py"
NAMES = {"plain": "llama.cpp, no speculation", "ngram": "llama.cpp, n-gram drafts", "policy": "the policy, live"}


def engines_section(folder: Path) -> list[str]:
    """Return the section's lines, from bench_serving_engines.json."""
    record = read_record(folder / "bench_serving_engines.json")
    head = ["## Two real engines", ""]
    if record is None:
        return [*head, *missing(COMMAND)]
    figures, settings = record["figures"], record["settings"]
    rows = []
    for side, name in NAMES.items():
        over = figures.get(f"policy_over_{side}")
        shown = "" if over is None else f"{over[0]:.3f} [{over[1]:.3f}, {over[2]:.3f}]"
        rows.append([name, f"{figures[f'{side}_s']:.1f}", f"{figures[f'{side}_tokens_per_s']:.1f}", shown])
    low, high = figures["shadow_interval"]
    verb = "holds" if low <= figures["live_reward"] <= high else "does not hold"
    notes = [
        f"{figures['n_prompts']} held-out prompts of seven domains, at most {settings['max_new_tokens']} tokens each, "
        "each sent to both upstreams directly and through the front door, in an order drawn anew for each. SmolLM2, "
        "llama.cpp's own server twice, one thread each. The faster upstream of each prompt, had it been known, takes "
        f"{figures['best_of_each_s']:.1f} s. Brackets: 95 % bootstrap intervals over prompts.",
        f"In shadow mode before, {figures['shadow_decisions']} decisions on other prompts said that the policy would "
        f"earn {figures['shadow_estimate']:.4f} [{low:.4f}, {high:.4f}] a decision, learned from the earlier half and "
        f"valued on the later one; live it earned {figures['live_reward']:.4f} on the held-out prompts: the interval "
        f"{verb} it.",
    ]
    by_domain = [
        [domain, f"{own['ngram_over_plain']:.2f}", f"{own['ngram_chosen']:.2f}"]
        for domain, own in figures["by_domain"].items()
    ]
    return [
        *head,
        *table(["", "seconds", "tokens/s", "policy's seconds over its"], rows),
        "",
        notes[0],
        "",
        *table(["domain", "n-gram's seconds over no speculation's", "share of n-gram, live"], by_domain),
        "",
        notes[1],
        "",
        *bar_table(record["bars"]),
        *origin(record),
        "",
    ]
