"""Write the result pages of the documentation from the JSON files that the measuring scripts leave.

    python examples/make_results_pages.py            # write docs/results/*.md
    python examples/make_results_pages.py --check    # exit with 1 if a page differs from its JSON
    python examples/make_results_pages.py --smoke    # make the pages, write nothing

A page whose JSON is missing says so; no figure is ever typed by hand.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bandits import Evaluation

RESULTS = Path(__file__).parent.parent / "docs" / "results"
Record = Mapping[str, Any]
_NOTICE = "<!-- Written by examples/make_results_pages.py; change that script, or the JSON, not this page. -->"
_HOW_TO_READ = (
    "Brackets: 95 % bootstrap intervals over prompts. A policy's row is the measured time of the arms it picked plus "
    'its own measured time; "real run" is what it took when it ran itself.'
)

_HOW_TO_READ_BANDIT_BARS = (
    "A time ratio is needed below its limit. A difference in reward is needed not to lie below zero with its whole "
    "interval."
)
_SPEED_NOTES = [
    "contextualbandits computes in float32 by default; its float64 row is the same precision as ours. We keep sums in "
    "float64, so that updates in any batches give what one fit gives and a million updates stay exact, and pay for it "
    "in fits. Batches of contexts are scored by float32 products of a float64 factor.",
    "",
]
_QUALITY_NOTES = [
    "### Likely reasons, not tested apart",
    "",
    "- LinUCB without an intercept makes the same choices as the peers' (see agreement under Speed); what is left "
    "between them is the intercept.",
    "- On held-out rows nothing is learned from exploring, so whoever draws with less noise gains there. MABWiser's "
    "arms hold copies of one random generator: after a batch they draw nearly the same noise, which cancels, and its "
    "LinTS is nearly greedy. Ours draws each arm's noise by itself, as the algorithm says.",
    "- A noise scale of 1, the peers' default, is far above the noise of rewards between 0 and 1. bayesianbandits' "
    "learned noise is our default's model with another prior.",
    "- A fixed scale below the rewards' own noise explores less than the posterior says. On passes as short as these "
    "that pays, which is why the best-tuned scale beats the learned one.",
    "- contextualbandits' LinTS that samples coefficients is near chance: its draws have the wrong covariance. Its "
    "ci mode multiplies the standard deviation where its setting says variance (at 1 the same).",
    "",
]


def generation_page(folder: Path) -> str:
    """Wall clock of every mode against transformers, from bench_generation.json."""
    lines = _head(
        "Generation",
        "How fast the engine generates, with each arm and each policy, against transformers' own modes on the "
        "same weights, prompts, threads and token limit. Total tokens over total seconds, prefill included. "
        "[What speed means](../design.md#what-speed-means) states the rules.",
    )
    record = _read(folder / "bench_generation.json")
    if record is None:
        return _page(lines, _missing("make bench"))
    peer = record["best_transformers_mode"]
    references = {
        "times_transformers_greedy": "times transformers' greedy",
        "times_best_transformers_mode": f"times {peer}",
        "times_best_fixed_arm": f"times {record['best_fixed_arm']}",
        "times_best_transformers_mode_without_loops": f"times {peer}, without looping texts",
    }
    rows = [
        [name, f"{mode['tokens_per_second']:.1f}", *(_interval(mode[key]) for key in references)]
        for name, mode in record["modes"].items()
    ]
    lines += ["## By the clock", "", *_table(["mode", "tokens/s", *references.values()], rows)]
    lines += [
        "",
        _HOW_TO_READ,
        "",
        f"- {peer} is transformers' best single mode, chosen after summing over all prompts.",
        f"- The per-prompt oracle over the best fixed arm ({record['best_fixed_arm']}): "
        f"{record['oracle_over_best_fixed_arm']:.2f} times. One timing each, so a little high.",
        f"- Texts that loop (over half of their 4-grams are repeats): {record['looping_share']:.0%}.",
        "",
        *_picture(folder, "bench_generation.png", "Speed by domain over transformers' greedy decoding"),
        *_domains("## By domain, times transformers' greedy", record["by_domain"]),
        *_equality(record["equality"]),
        *_bars(record["bars"]),
        *_origin(record),
        *_exactness(folder),
    ]
    return _page(lines)


def _exactness(folder: Path) -> list[str]:
    """Logits against transformers', and real rounds against replay's, from check_exactness.json."""
    record = _read(folder / "check_exactness.json")
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
        *_table(["arm", "equal", "different"], rows),
        "",
        *_origin(record, "### How they were checked"),
    ]


def policies_page(folder: Path) -> str:
    """The demo's policies by replay and by the clock, and every reward's table."""
    lines = _head(
        "Policies and rewards",
        "What learned policies bring on held-out prompts, against each fixed arm, no draft and the per-query oracle.",
    )
    demo = _read(folder / "demo.json")
    lines += ["## The demo", ""]
    lines += _missing("make demo") if demo is None else _demo(folder, demo)
    rewards = _read(folder / "bench_rewards.json")
    lines += ["", "## Other rewards, the same observations", ""]
    if rewards is None:
        return _page(lines, _missing("python examples/bench_rewards.py"))
    for name, evaluation in rewards["rewards"].items():
        lines += [f"### {name}", "", *_evaluation(evaluation), ""]
    return _page(lines + _origin(rewards))


def drafts_page(folder: Path) -> str:
    """Match rates of the shipped drafts on every domain, from drafts.json."""
    lines = _head(
        "Shipped drafts",
        "How often each shipped draft guesses the target's next token, on held-out prompts of each domain. "
        "[Distil a draft](../howto/distil.md) says how they were made.",
    )
    record = _read(folder / "drafts.json")
    if record is None:
        return _page(lines, _missing("draftpick distill"))
    matrix = record["matrix"]
    domains = list(dict.fromkeys(domain for row in matrix.values() for domain in row))

    def cells(show: Callable[[Record], str]) -> list[list[str]]:
        return [
            [draft, *(show(row[domain]) if domain in row else "" for domain in domains)]
            for draft, row in matrix.items()
        ]

    lines += ["## Match rate", "", *_table(["draft", *domains], cells(_interval))]
    lines += ["", "Brackets: 95 % bootstrap intervals over texts.", ""]
    lines += ["## New tokens a round at draft length 4, replayed", ""]
    lines += [*_table(["draft", *domains], cells(lambda cell: f"{cell['tokens_per_round']:.2f}")), ""]
    lines += ["## Held-out texts", ""]
    lines += [*_table(["draft", *domains], cells(lambda cell: f"{cell['n_texts']}")), ""]
    return _page(lines + _origin(record))


def bandits_page(folder: Path) -> str:
    """Speed and rewards beside other libraries', from bench_bandits.json."""
    lines = _head(
        "Bandits beside other libraries",
        "How long our policies take to learn and to choose, and what rewards they bring, beside MABWiser, "
        "contextualbandits, bayesianbandits, ParetoBandit, river, coba and VW on the same rows.",
    )
    record = _read(folder / "bench_bandits.json")
    if record is None:
        return _page(lines, _missing("make bench-peers"))
    parts = record["parts"]
    lines += _picture(folder, "bench_bandits.png", "Times and rewards beside other libraries'")
    sections: tuple[tuple[str, Callable[[Record], list[str]]], ...] = (
        ("speed", _bandit_speed),
        ("quality", _bandit_quality),
        ("reinforce", _bandit_reinforce),
    )
    for name, make in sections:
        if name in parts:
            lines += [*make(parts[name]), ""]
    lines += [*_bars(record["bars"]), _HOW_TO_READ_BANDIT_BARS, ""]
    for name, part in parts.items():
        lines += _origin(part, f"## Where the figures come from: {name}")
        lines.append("")
    return _page(lines)


def headline(folder: Path) -> str:
    """The demo's verdict and picture for the start page."""
    demo = _read(folder / "demo.json")
    lines = [_NOTICE, ""]
    if demo is None:
        return _page(lines, _missing("make demo"))
    lines += [f"> {demo['verdict']}", "", f"{_machine(demo)} [All figures](results/policies.md).", ""]
    name = "demo_speed_by_domain.png"
    if (folder / name).is_file():
        lines += [f"![Speed by domain and arm on held-out prompts](results/{name})", ""]
    return _page(lines)


PAGES: dict[str, Callable[[Path], str]] = {
    "generation.md": generation_page,
    "policies.md": policies_page,
    "drafts.md": drafts_page,
    "bandits.md": bandits_page,
    "headline.md": headline,
}


def make_pages(folder: Path) -> dict[str, str]:
    """Every page's text by file name.

    Raises:
        ValueError: naming the JSON file, if it is damaged or lacks what its page shows.
    """
    pages = {}
    for name, make in PAGES.items():
        try:
            pages[name] = make(folder)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{folder}: a JSON file lacks what {name} shows ({error!r}); measure again") from error
    return pages


def _demo(folder: Path, demo: Record) -> list[str]:
    references = list(next(iter(demo["ratios"].values())))
    clock = [
        [name, f"{demo['speeds'][name]:.1f}", *(_interval(ratios[reference]) for reference in references)]
        for name, ratios in demo["ratios"].items()
    ]
    equality = demo["equality"]
    return [
        f"> {demo['verdict']}",
        "",
        f"{demo['n_timed']} held-out prompts of at most {demo['max_new_tokens']} new tokens, every mode on every "
        f"prompt, interleaved; transformers on {demo['n_transformers']} of them. {_machine(demo)}",
        "",
        *_picture(folder, "demo_speed_by_domain.png", "Speed by domain and arm on held-out prompts, replayed"),
        "### By the clock",
        "",
        *_table(["mode", "tokens/s", *(f"times {reference}" for reference in references)], clock),
        "",
        _HOW_TO_READ,
        "",
        f"Texts compared with no draft's: {equality['identical']} identical, {equality['tie']} parted at a tie of "
        f"the target's two best logits, {equality['different']} different. Texts that loop: "
        f"{demo['looping_share']:.0%}.",
        "",
        "### Held-out prompts by replay",
        "",
        *_evaluation(demo["evaluation"]),
        "",
        *_picture(folder, "demo_picks_by_domain.png", "Each policy's picks by domain"),
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
    return [*_table(["", *(column.replace("_", " ") for column in columns)], rows), "", " ".join(notes)]


_OPERATIONS = {
    "fit": "learn a log of n rows, until a decision can be made",
    "batch": "choose on n contexts at once",
    "decision": "choose on one context",
    "online": "choose on one context and learn its reward",
}


def _bandit_speed(part: Record) -> list[str]:
    lines = [
        "## Speed",
        "",
        f"Microseconds a row, ours / the peer's, and how many times the peer's ours is, on one thread; n = "
        f"{part['n']:,}, k = {part['lin_ts'][0]['k']}, unit-length contexts, rewards 0 or 1. Each peer is paired with "
        f"our LinUCB in alternation; medians of {part['pairs']} pairs with the 95 % bootstrap interval of their ratio. "
        "Our times include the checks of what comes in, the record of each decision and its propensity. All are "
        "ridge regressions of prior precision 1 without intercept, width one standard deviation; *other law* marks "
        "what is not the same computation. Agreement: share of 100 contexts on which both choose the same arm.",
        "",
        *(f"- {name}: {text}" for name, text in _OPERATIONS.items()),
        "",
    ]
    for n_features in dict.fromkeys(row["d"] for row in part["rows"]):
        rows = [row for row in part["rows"] if row["d"] == n_features]
        lines += [f"### d = {n_features}", "", *_ratio_table("peer", rows), ""]
    lines += _SPEED_NOTES
    lines += [
        "### LinTS against LinUCB",
        "",
        "Ours both. LinTS computes each arm's probability of being best by quadrature for every choice; the peer's "
        "place is LinUCB's. The quadrature costs the same at any d, so the ratio falls as d grows.",
        "",
        *_ratio_table("d", [{**row, "same_law": True} for row in part["lin_ts"]]),
        "",
        "### How ours grow",
        "",
    ]
    shown = ("fit", "batch", "decision", "online")
    for axis in dict.fromkeys(row["along"] for row in part["growth"]):
        own = [row for row in part["growth"] if row["along"] == axis]
        fixed = ", ".join(f"{name} = {own[0][name]:,}" for name in "dkn" if name != axis)
        cells = [[row["policy"], f"{row[axis]:,}", *(f"{row[f'{name}_us']:.3g}" for name in shown)] for row in own]
        lines += [f"Microseconds a row as {axis} grows ({fixed}):", "", *_table(["", axis, *shown], cells), ""]
    return lines


def _ratio_table(head: str, rows: Sequence[Record]) -> list[str]:
    labels = list(dict.fromkeys(row[head] for row in rows))
    cells = []
    for label in labels:
        own = {row["operation"]: row for row in rows if row[head] == label}
        agreement = f"{next(iter(own.values()))['agreement']:.2f}"
        cells.append([f"{label}", *(_ratio_cell(own.get(name)) for name in _OPERATIONS), agreement])
    return _table([head, *_OPERATIONS, "agreement"], cells)


def _ratio_cell(row: Record | None) -> str:
    if row is None:
        return ""
    times = f"{row['ours_us']:.3g} / {row['peer_us']:.3g}: {_interval({**row, 'value': row['ratio']})}"
    return times if row["same_law"] else f"{times}, other law"


def _bandit_quality(part: Record) -> list[str]:
    sizes = [[name, *(f"{world[key]:,}" for key in ("rows", "d", "k"))] for name, world in part["worlds"].items()]
    lines = [
        "## Rewards",
        "",
        "Mean reward, with 95 % intervals over seeds. *Logged*: fitted to a random half as a uniform policy logged it "
        "(one arm a row), valued on the other half; differences are paired by seed. *Online*: "
        f"one pass over at most {part['n_online']:,} rows in batches of 50, the first at random. Settings are those "
        "of each library: prior precision 1, one standard deviation for LinUCB, one posterior draw for LinTS. Ours "
        "with their defaults: an intercept, and for LinTS a learned noise scale.",
        "",
        "digits is scikit-learn's; covertype-like is made by its make_classification (54 features, 7 classes, a tenth "
        "of the labels wrong), not the real covertype. The others are logs of LLM calls, with 384 hashed words and "
        "pairs of words of the query as contexts.",
        "",
        *_table(["", "rows", "d", "k"], sizes),
        "",
    ]
    for way in dict.fromkeys(row["way"] for row in part["rows"]):
        for algorithm in dict.fromkeys(row["algorithm"] for row in part["rows"]):
            own = [row for row in part["rows"] if (row["way"], row["algorithm"]) == (way, algorithm)]
            lines += [f"### {algorithm}, {way}", "", *_reward_table(own), ""]
            lines += [text for row in own for text in _difference_lines(row)] + [""]
    return [*lines, *_QUALITY_NOTES]


def _reward_table(rows: Sequence[Record]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row["mean_reward"]))
    cells = [
        [name, *(_fine(row["mean_reward"][name]) if name in row["mean_reward"] else "" for row in rows)]
        for name in names
    ]
    return _table(["", *(row["world"] for row in rows)], cells)


def _difference_lines(row: Record) -> list[str]:
    kinds = {"best_peer": "the best peer", "best_scale": "the best fixed scale"}
    return [
        f"- {row['world']}: {row['algorithm']} less {kinds[key]}, {row[key]['name']}: {_fine(row[key])}"
        for key in kinds
        if key in row
    ]


def _bandit_reinforce(part: Record) -> list[str]:
    speeds = [
        [f"{row['hidden_size']}", f"{row['rows_a_second']:,.0f} [{row['low']:,.0f}, {row['high']:,.0f}]"]
        for row in part["training"]
    ]
    lines = [
        "## REINFORCE",
        "",
        "Rows a second that training passes over, one thread, d = 384, k = 4, bandit feedback, by the size of the two "
        "hidden layers (64 is the default); median and range.",
        "",
        *_table(["hidden size", "rows a second"], speeds),
        "",
        "Value on the held-out half beside ridge regression's (LinUCB of width 0), from bandit feedback and from full "
        "information; differences are paired by seed.",
        "",
    ]
    names = list(dict.fromkeys(name for row in part["rows"] for name in row["value"]))
    cells = [[name, *(_fine(row["value"][name]) for row in part["rows"])] for name in names]
    cells += [
        [f"Reinforce less ridge, {kind}", *(_fine(row["less_ridge"][kind]) for row in part["rows"])]
        for kind in ("bandit", "full")
    ]
    return [*lines, *_table(["", *(row["world"] for row in part["rows"])], cells)]


def _domains(heading: str, by_domain: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for row in by_domain.values() for name in row))
    rows = [
        [domain, *(f"{row[name]:.2f}" if name in row else "" for name in names)] for domain, row in by_domain.items()
    ]
    return [heading, "", *_table(["domain", *names], rows), ""]


def _equality(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    kinds = ("identical", "tie", "different")
    rows = [[name, *(str(row[kind]) for kind in kinds)] for name, row in counts.items()]
    return [
        "## Texts against no draft's",
        "",
        *_table(["mode", *kinds], rows),
        "",
        "A tie: at the first difference the target's two best logits lie within 1e-4 of each other.",
        "",
    ]


def _bars(bars: Sequence[Record]) -> list[str]:
    rows = [[bar["name"], _measured(bar), _needed(bar), "yes" if bar["holds"] else "no"] for bar in bars]
    return ["## What it is meant to reach", "", *_table(["", "measured", "needed", "reached"], rows), ""]


def _measured(bar: Record) -> str:
    if bar["value"] >= 1000:
        return f"{bar['value']:,.0f}"
    return (_fine(bar) if bar.get("within_interval") else _interval(bar)) if "low" in bar else f"{bar['value']:.2f}"


def _needed(bar: Record) -> str:
    number = f"{bar['bar']:,.0f}" if bar["bar"] >= 1000 else f"{bar['bar']:.2f}"
    return f"at most {number}" if bar.get("at_most") else number


def _origin(record: Record, heading: str = "## Where the figures come from") -> list[str]:
    lines = [heading, ""]
    if "machine" in record:
        lines.append(f"- {_machine(record)}")
    for key in ("command", "date", "seed", "max_new_tokens", "prompts", "settings"):
        if key in record:
            value = record[key]
            text = value if isinstance(value, str) else json.dumps(value)
            lines.append(f"- {key.replace('_', ' ')}: `{text}`")
    return lines if len(lines) > 2 else []


def _machine(record: Record) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['accelerator'] or machine['processor']}, {machine['threads']} threads, "
        f"Python {machine['python']}, {versions}."
    )


def _fine(cell: Record) -> str:
    return f"{cell['value']:.3f} [{cell['low']:.3f}, {cell['high']:.3f}]"


def _interval(cell: Record) -> str:
    return f"{cell['value']:.2f} [{cell['low']:.2f}, {cell['high']:.2f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    aligned = "|---|" + "---:|" * (len(heads) - 1)
    return [_line(heads), aligned, *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _picture(folder: Path, name: str, caption: str) -> list[str]:
    return [f"![{caption}]({name})", ""] if (folder / name).is_file() else []


def _head(title: str, summary: str) -> list[str]:
    return [_NOTICE, "", f"# {title}", "", summary, ""]


def _missing(command: str) -> list[str]:
    return [f"Not measured yet. `{command}` measures it.", ""]


def _page(lines: Sequence[str], more: Sequence[str] = ()) -> str:
    text = "\n".join([*lines, *more])
    return re.sub(r"\n{3,}", "\n\n", text).rstrip() + "\n"


def _read(path: Path) -> Record | None:
    if not path.is_file():
        return None
    try:
        record: Record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); measure again") from error
    return record


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files and pages")
    parser.add_argument("--check", action="store_true", help="compare only; exit with 1 if a page is out of date")
    parser.add_argument("--smoke", action="store_true", help="make the pages, write nothing")
    options = parser.parse_args(arguments)
    pages = make_pages(options.results)
    old = {
        name: (options.results / name).read_text(encoding="utf-8")
        for name in pages
        if (options.results / name).is_file()
    }
    stale = [name for name, text in pages.items() if old.get(name) != text]
    if options.check:
        for name in stale:
            print(f"{options.results / name} is out of date: run python examples/make_results_pages.py")
        return 1 if stale else 0
    if not options.smoke:
        options.results.mkdir(parents=True, exist_ok=True)
        for name in stale:
            (options.results / name).write_text(pages[name], encoding="utf-8")
    print(f"{len(pages)} pages, {len(stale)} changed{' (not written)' if options.smoke else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
