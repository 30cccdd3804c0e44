"""What a choice at every round brings, beside published rules and hindsight, and what each part of it is worth."""

from pathlib import Path

from results_pages.parts import (
    Record,
    bar_table,
    details,
    missing,
    origin,
    own_runs,
    page_head,
    page_text,
    picture,
    read_record,
    table,
    three_digits,
    two_digits,
)

SETS = {"smollm2": "SmolLM2-135M", "qwen_bfloat16": "Qwen2.5-Coder-1.5B with its 0.5B"}
LEARNED = ("SpeedSelector", "GatedSelector")
HINDSIGHT = ("oracle per query", "clairvoyant per round")
NOTE = (
    "Times as fast as the arm that was best on the training prompts, by total replayed seconds of held-out prompts, "
    "prompt reading included; 95 % intervals over prompts. Rules that draw: means over five seeds. `HedgeSpec` is told "
    "what idle drafts would have got accepted, and not charged for it."
)


def rounds_page(folder: Path) -> str:
    """Return the ratios, ablations, calibration and transfer of both pools, from rounds_NAME.json."""
    lines = page_head("Rounds", "What a choice at every round brings on held-out prompts, beside other ways to choose.")
    records = {title: read_record(folder / f"rounds_{name}.json") for name, title in SETS.items()}
    known = {title: record for title, record in records.items() if record is not None}
    if not known:
        return page_text(lines, missing("python examples/benchmarks/bench_rounds.py TRAIN TEST --name NAME"))
    for title, record in known.items():
        lines += [*_section(title, record), *picture(folder, f"rounds_{record['name']}_calibration.png", _CAPTION), ""]
        lines += [*own_runs(record), *_parts(record), *bar_table(record["bars"]), *origin(record)]
    return page_text(lines)


_CAPTION = "Predicted and observed shares of accepted tokens on held-out prompts"


def _section(title: str, record: Record) -> list[str]:
    times = record["times_best_fixed_arm"]
    fixed = set(record["fixed_arms"])
    others = [name for name in times if name not in fixed and name not in (*LEARNED, *HINDSIGHT)]
    order = [*sorted(others, key=lambda name: -times[name]["value"]), *LEARNED, *HINDSIGHT]
    rows = [[f"**{name}**" if name in LEARNED else name, three_digits(times[name])] for name in order]
    best, policy = times["GatedSelector"], record["times_knn_per_query"]["GatedSelector"]
    share = record["share_of_clairvoyant"]
    said = (
        f"`GatedSelector` is {two_digits(best)} times as fast as `{record['best_fixed_arm']}`, the best fixed arm, and "
        f"{three_digits(policy)} times as fast as `KNN` once a query over arms and rules; {share:.0%} of what a "
        f"perfect choice at every round would gain. {record['n_train']} training prompts, {record['n_test']} held out."
    )
    fixed_rows = [[name, three_digits(times[name])] for name in record["fixed_arms"]]
    return [
        f"## {title}",
        "",
        said,
        "",
        *table(["choice", "times the best fixed arm"], rows),
        "",
        NOTE,
        "",
        *details("Fixed arms", table(["arm", "times the best fixed arm"], fixed_rows)),
    ]


def _parts(record: Record) -> list[str]:
    lines: list[str] = []
    if "ablations" in record:
        rows = [[name, three_digits(value)] for name, value in record["ablations"].items()]
        said = "How many times as fast `SpeedSelector` is as one that was fitted without a part of it."
        lines += ["### Without its parts", "", said, "", *table(["without", "times as fast with it"], rows), ""]
    if "without_arms" in record:
        names = list(record["without_arms"][0]["times_as_fast"])
        rows = [
            [", ".join(one["arms"]), *(three_digits(one["times_as_fast"][name]) for name in names)]
            for one in record["without_arms"]
        ]
        said = "How many times as fast each choice is as one that was learned and played without some of the arms."
        lines += ["### Without some of the arms", "", said, "", *table(["without", *names], rows), ""]
    if "additions" in record:
        rows = [[name, three_digits(value)] for name, value in record["additions"].items()]
        said = (
            "How many times as fast a `SpeedSelector` is that was learned and played with more. A draft model stops "
            "where a further token no longer pays by the profile; what it is unsure of after a rejected token is in no "
            "trace, and it is charged as if it went on. A draft that is kept caught up reads on in every round, asked "
            "or not, and the record says how much of the text it would have foretold; no engine does that yet."
        )
        lines += ["### With more", "", said, "", *table(["with", "times as fast"], rows), ""]
    if "transfer" in record:
        rows = [
            [row["profile"], *(f"{100 * row[key]:.1f} %" for key in _LOST), f"{row['refitted_over_fixed']:.3f}"]
            for row in record["transfer"]
        ]
        said = (
            "How much slower a selector that was learned with one profile is under another one than a selector that "
            "was learned there: with the profile exchanged; with the rate also found anew by playing it; a policy that "
            "learned from rewards in which tokens and seconds are one number. Last: what is learned there, over the "
            "best fixed arm there. Profiles are derived from the measured one; batch n: n requests share a pass."
        )
        heads = ["costs", "profile exchanged", "rate anew", "`LinUCB` per round", "over fixed"]
        lines += ["### On other machines and loads", "", said, "", *table(heads, rows), ""]
    return lines


_LOST = ("profile_exchanged", "rate_found_anew", "model_free_moved")
