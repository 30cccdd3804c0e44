"""What a policy that learns while it serves takes, against the best fixed arm."""

from collections.abc import Mapping
from statistics import median

from results_pages.parts import Record, bar_table, origin, table, three_digits

BLOCKS_SHOWN = (1, 3, 5, 10, 20)
_AROUND = {
    "nothing changes": "nothing changes",
    "one arm slowed": "the best fixed arm takes twice as long",
    "domain mix turned": "the mix of domains turns",
    "arm added": "the best fixed arm joins",
}
_NO_DELAY = "-"


def learning(record: Record) -> list[str]:
    """Return the sections of bench_online.json."""
    settings = record["settings"]
    about = (
        f"{settings['n']:,} requests, drawn from {settings['queries']} queries ({settings['of']}) of which every arm's "
        f"seconds are known, so that what a policy would have taken is exact. {len(settings['arms'])} arms; "
        f"{settings['exploration']:.0%} of the requests may get any arm, and the policy learns after every "
        f"{settings['learn_every']}. Brackets: 95 % t intervals over {settings['seeds']} seeds."
    )
    return [
        *("## Learning from nothing", "", *_curve(record["curve"], settings), "", about, ""),
        *("## Change at half-time", "", *_drift(record["drift"], settings), ""),
        *("### An arm joins", "", *_joins(record["drift"]["arm added"]), ""),
        *("### Made-up environments", "", *_environments(record["environments"], settings), ""),
        *("### The detector", "", *_detector(record["detector"]), ""),
        *bar_table(record["bars"]),
        *origin(record),
        "",
    ]


def _curve(curves: Mapping[str, Record], settings: Record) -> list[str]:
    size = settings["n"] // len(next(iter(curves.values()))["blocks"])
    rows = [
        [name, *(three_digits(curve["blocks"][block - 1]) for block in BLOCKS_SHOWN)] for name, curve in curves.items()
    ]
    heads = [
        "policy",
        *(f"requests to {block * size:,}" for block in BLOCKS_SHOWN),
    ]
    passed = [[name, *_passed(curve, size)] for name, curve in curves.items()]
    return [
        f"Seconds over those of the best fixed arm in hindsight, in blocks of {size} requests that end where it says:",
        "",
        *table(heads, rows),
        "",
        *table(
            ["policy", "first block below the best fixed arm", "its total below the best fixed arm's after"], passed
        ),
    ]


def _passed(curve: Record, size: int) -> list[str]:
    below = [block["value"] < 1 for block in curve["blocks"]]
    first = next((i for i in range(len(below)) if all(below[i:])), None)
    block = "never" if first is None else f"from request {first * size:,}"
    totals = curve["passed_after"]
    known = [total for total in totals if total is not None]
    if len(known) <= len(totals) // 2:
        return [block, f"{len(known)} of {len(totals)} seeds"]
    least, most = min(known), max(known)
    middle = median(total if total is not None else float("inf") for total in totals)
    more = "" if len(known) == len(totals) else f", {len(totals) - len(known)} never"
    return [block, f"{middle:,.0f} requests ({least:,} to {most:,} by seed{more})"]


def _drift(drifts: Mapping[str, Mapping[str, Record]], settings: Record) -> list[str]:
    shown = [name for name in drifts if name != "arm added"]
    rows = [
        [f"{_AROUND[name]}: {way}", *(three_digits(cells[part]) for part in ("before", "just_after", "later"))]
        for name in shown
        for way, cells in drifts[name].items()
    ]
    half, soon = settings["n"] // 2, settings["n"] // 8
    note = (
        "Seconds of `LinTS`, from nothing, over those of the arm that is best for the same requests: its discount is "
        "0.999, its window 1,000 decisions, the detector's threshold 20."
    )
    least = {name: min(drifts[name], key=lambda way, ways=drifts[name]: ways[way]["later"]["value"]) for name in shown}
    told = "; ".join(f"{_AROUND[name]}: {way}" for name, way in least.items())
    heads = ["way to forget", f"first {half:,}", f"{soon:,} after the change", "the rest"]
    return [note, "", *table(heads, rows), "", f"Least in the rest, where {told}."]


def _joins(ways: Mapping[str, Record]) -> list[str]:
    rows = [
        [
            f"starts with {name} of the others",
            *(three_digits(cells[part]) for part in ("before", "just_after", "later")),
        ]
        for name, cells in ways.items()
    ]
    return table(["the arm that joins", "before", "just after", "the rest"], rows)


def _environments(environments: Mapping[str, Mapping[str, Record]], settings: Record) -> list[str]:
    ways = list(next(iter(environments.values())))
    rows = [
        [kind, *(f"{cells[way]['value']:.0f} ± {cells[way]['high'] - cells[way]['value']:.0f}" for way in ways)]
        for kind, cells in environments.items()
    ]
    note = f"Regret of `LinUCB` after {settings['n']:,} decisions in `LinearEnvironment` and `DriftingEnvironment`:"
    return [note, "", *table(["environment", *ways], rows)]


def _detector(kinds: Mapping[str, Mapping[str, Record]]) -> list[str]:
    rows = [
        [f"{kind}, threshold {threshold}", f"{cell['false_per_1000']:.2f}", *map(_delay, _delays(cell))]
        for kind, cells in kinds.items()
        for threshold, cell in cells.items()
    ]
    note = (
        "Resets of `ResetOnDrift` in 1,000 rewards of an arm that does not move, and the median of its rewards until "
        "it is reset after its mean fell by a half, one or two standard deviations; a false reset before delays it:"
    )
    return [note, "", *table(["rewards", "false resets", "0.5", "1", "2"], rows)]


def _delays(cell: Record) -> list[float | None]:
    return [cell[f"delay_of_{move}"] for move in (0.5, 1.0, 2.0)]


def _delay(value: float | None) -> str:
    return _NO_DELAY if value is None else f"{value:.0f}"
