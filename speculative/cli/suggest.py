"""`draftpick profile --suggest`: rules over a pool's arms, found in collected data."""

from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file
from speculative.cli import options

if TYPE_CHECKING:
    from speculative.collection.rule_search import NamedRule, Suggestion
    from speculative.pools.pool import Pool


def suggest_pool(file: Path, pool: "Pool", data: Path, out: Path | None, as_json: bool) -> None:
    """Print the rules and arms worth having as entries of a pool file, and write a whole one if asked.

    Args:
        file: the pool file.
        pool: as loaded from it.
        data: folder that `collect` wrote with this pool.
        out: pool file to write; None for none.
        as_json: print JSON.

    Raises:
        ValueError: if the folder holds no finished collection, or lacks a draft of the pool.
    """
    from speculative.collection.priced_folder import stored_costs
    from speculative.collection.rule_search import suggest_rules
    from speculative.collection.trace_store import TRACES, read_trace_parts
    from speculative.pools.pool_file import arms_of_file, toml_of, with_arms

    costs = stored_costs(data)
    if costs is None:
        raise ValueError(f"{data} holds no data that collect wrote: collect the pool's arms on training prompts first")
    if out is not None and out.exists():
        raise ValueError(f"--out {out} exists already: name another file")
    traces = [trace for part in read_trace_parts(data / TRACES) for trace in part]
    found = suggest_rules(traces, pool.fixed_arms, costs, on_progress=options.say)
    rules = _entries(found, set(pool.arms.names))
    kept = [entry for name, entry in zip(pool.arms.names, arms_of_file(file), strict=True) if name in found.arms]
    text = toml_of({"arms": rules})
    if out is not None:
        write_file(out, with_arms(file, [*kept, *rules]))
        options.say(f"wrote {out}")
    result = {"rules": rules, "arms": found.arms, "gain": asdict(found.gain), "n_queries": found.n_queries}
    said = options.wrapped([f"arms worth keeping: {', '.join(found.arms)}", str(found)])
    options.report(result, f"{text}\n{said}" if rules else said, as_json)


def _entries(found: "Suggestion", taken: set[str]) -> list[dict[str, object]]:
    names = (name for i in count(1) if (name := f"rule_{i}") not in taken)
    return [_entry(name, rule) for name, rule in zip(names, found.rules, strict=False)]


def _entry(name: str, rule: "NamedRule") -> dict[str, object]:
    clauses = [{"arm": arm, "min_match_length": least} for arm, least in rule.clauses]
    return {"kind": "rule", "name": name, "clauses": clauses, "fallback": rule.fallback}
