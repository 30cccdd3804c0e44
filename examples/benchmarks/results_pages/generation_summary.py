"""What a reader of the generation page asks first, answered in sentences and one small table."""

from collections.abc import Mapping

from results_pages.parts import Record, table, two_digits


def summary_lines(parts: Mapping[str, Record]) -> list[str]:
    """Return the answers: how much faster, than whom, does choosing pay, is the text the same."""
    lines = []
    if "single" in parts:
        lines += _single(parts["single"])
    if "batch" in parts:
        lines += _batch(parts["batch"])
    if "int4" in parts:
        lines += _int4(parts["int4"])
    lines += _texts(parts)
    lines += ["", *_short_table(parts["single"])] if "single" in parts else []
    return [*lines, ""]


def _single(record: Record) -> list[str]:
    modes, peer = record["modes"], record["best_transformers_mode"]
    fixed, rule, policy = (record[f"best_{kind}"] for kind in ("fixed_arm", "fixed_arm_or_rule", "learned_policy"))
    n_prompts = f"{record['prompts']['n_test']} held-out prompts" if "prompts" in record else "held-out prompts"
    lines = [
        f"- **How much faster?** On {n_prompts}, one at a time, the engine without a draft writes "
        f"{two_digits(modes['no_draft']['times_transformers_greedy'])} times as many tokens a second as transformers' "
        f"greedy decoding, and with the best single draft, `{fixed}`, "
        f"{two_digits(modes[fixed]['times_transformers_greedy'])} times as many.",
        f"- **Against whom?** Transformers' best mode here is its {peer.removeprefix('transformers ')}; `{fixed}` "
        f"writes {two_digits(modes[fixed]['times_best_transformers_mode'])} times as many tokens a second.",
        f"- **Does choosing pay?** The best learned policy, {policy}, writes "
        f"{two_digits(modes[policy]['times_best_fixed_arm'])} times as many as always `{fixed}`. Choosing each "
        f"prompt's best arm with hindsight would give {record['oracle_over_best_fixed_arm']:.2f} times: that is all "
        "the room on these prompts.",
    ]
    if rule != fixed:
        lines.append(
            f"- **And a rule at every round?** The best one, *{rule}*, writes "
            f"{two_digits(modes[rule]['times_best_fixed_arm'])} times as many as always `{fixed}`."
        )
    return lines


def _batch(record: Record) -> list[str]:
    own = {name: mode for name, mode in record["modes"].items() if not name.startswith("transformers")}
    name = max(own, key=lambda mode: float(own[mode]["tokens_per_second"]))
    ratio = own[name]["times_transformers_greedy_batch_8"]
    return [
        f"- **Many requests at once?** The fastest way measured, *{name}*, writes {two_digits(ratio)} times as many "
        "tokens a second as transformers' greedy decoding at batch 8."
    ]


def _int4(record: Record) -> list[str]:
    arm = record["best_arm"]
    return [
        f"- **With the target's weights at 4 bits?** `{arm}` writes "
        f"{two_digits(record['modes'][arm]['times_fastest_transformers_mode'])} times as many tokens a second as "
        f"transformers' fastest mode of any dtype, {record['fastest_transformers_mode'].removeprefix('transformers ')}."
    ]


def _texts(parts: Mapping[str, Record]) -> list[str]:
    float32 = [counts for name in ("single", "batch") if name in parts for counts in parts[name]["equality"].values()]
    if not float32:
        return []
    text = f"- **Is the text the same?** In float32, {_identical(float32)} texts are identical to those without a "
    text += "draft, token for token."
    int4 = parts["int4"]["equality"] if "int4" in parts else {}
    invariant = [counts for name, counts in int4.items() if name.endswith("(batch-invariant)")]
    loose = [counts for name, counts in int4.items() if not name.endswith("(batch-invariant)")]
    if loose:
        text += f" At 4 bits {_identical(loose)} are"
        text += f", and with batch-invariant arithmetic {_identical(invariant)}." if invariant else "."
    return [text]


def _identical(counts: list[Record]) -> str:
    total = sum(row["identical"] + row["tie"] + row["different"] for row in counts)
    return f"{sum(row['identical'] for row in counts)} of {total}"


def _short_table(record: Record) -> list[str]:
    """Return the few modes that the sentences name."""
    modes, peer = record["modes"], record["best_transformers_mode"]
    policy = record["best_learned_policy"]
    names = ["no_draft", record["best_fixed_arm"], record["best_fixed_arm_or_rule"], f"{policy} (real run)"]
    names += ["transformers greedy", peer]
    rows = [
        [
            name,
            f"{modes[name]['tokens_per_second']:.1f}",
            two_digits(modes[name]["times_transformers_greedy"]),
            two_digits(modes[name]["times_best_transformers_mode"]),
        ]
        for name in dict.fromkeys(names)
        if name in modes
    ]
    return table(["mode", "tokens/s", "times transformers' greedy", f"times {peer}"], rows)
