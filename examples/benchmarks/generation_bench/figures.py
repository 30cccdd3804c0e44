"""Speeds, ratios with intervals, equality of texts and bars, as JSON."""

from collections.abc import Mapping, Sequence
from typing import Any

from arms import Query
from bandits.statistics.estimate import Estimate
from speculative.measuring.text_equality import compare_texts
from speculative.measuring.wall_clock import Run, speed_ratio, tokens_per_second
from speculative.targets.target import Target

Record = dict[str, Any]


def fastest(grouped: Mapping[str, Sequence[Run]], names: Sequence[str]) -> str:
    """Return the mode of most tokens per second, summed over all prompts."""
    return max(names, key=lambda name: tokens_per_second(grouped[name]))


def without(runs: Sequence[Run], left_out: set[str]) -> list[Run]:
    """Return the runs on other prompts than these."""
    return [run for run in runs if run.query_id not in left_out]


def as_record(ratio: Estimate) -> dict[str, float]:
    """Return a ratio as JSON."""
    return {"value": ratio.value, "low": ratio.low, "high": ratio.high}


def ratio_bar(name: str, fast: Sequence[Run], slow: Sequence[Run], needed: float) -> Record:
    """Return a ratio of speeds that is meant to reach a value."""
    ratio = speed_ratio(fast, slow)
    return {"name": name, **as_record(ratio), "bar": needed, "holds": ratio.value >= needed}


def limit_bar(name: str, value: float, limit: float) -> Record:
    """Return a figure that is meant to stay below a limit."""
    return {"name": name, "value": value, "bar": limit, "at_most": True, "holds": value <= limit}


def equality(
    target: Target, queries: Sequence[Query], grouped: Mapping[str, Sequence[Run]], reference: str
) -> dict[str, Record]:
    """Compare every mode's texts with one mode's: identical, parted at a tie, or different."""
    prompts = {query.id: target.request(query).token_ids for query in queries}
    plain = {run.query_id: run.token_ids for run in grouped[reference]}
    counts: dict[str, Record] = {}
    for name, runs in grouped.items():
        row: Record = {"identical": 0, "tie": 0, "different": 0}
        gaps = []
        for run in runs:
            found = compare_texts(target.model, prompts[run.query_id], plain[run.query_id], run.token_ids)
            row[found.kind] += 1
            gaps += [] if found.gap is None else [found.gap]
        counts[name] = {**row, "largest_gap": max(gaps)} if gaps else row
    return counts


def strip(runs: Sequence[Run]) -> list[dict[str, object]]:
    """Return the timings without the texts, which belong to their authors."""
    return [
        {
            "query_id": run.query_id,
            "domain": run.domain,
            "mode": run.mode,
            "seconds": run.seconds,
            "n_tokens": len(run.token_ids),
            "select_s": run.select_s,
            "pick": run.pick,
        }
        for run in runs
    ]
