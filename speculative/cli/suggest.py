"""`draftpick profile --suggest`: the fastest arithmetic of a pool's models, and rules found in collected data."""

from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from arms.atomic_file import write_file
from speculative.cli import options

if TYPE_CHECKING:
    from speculative.collection.rule_search import NamedRule, Suggestion
    from speculative.pools.arithmetic import Arithmetic
    from speculative.pools.arithmetic_search import ArithmeticChoice, PricedTarget
    from speculative.pools.expected_speed import OnTraces
    from speculative.pools.spec import PoolSpec

ACCEPTANCE = 0.7
"""Of a draft token, where neither data nor the user say."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a suggestion is to be made of.

    Attributes:
        file: the pool file.
        device: None for the file's.
        dtype: of the target; None or "auto" for any.
        weights: of the target; None or "auto" for any.
        graphs: None for the file's.
        data: folder that `collect` wrote with this pool; None for none.
        acceptance: of each draft token, where there are no data; None for the usual one.
        out: pool file to write; None for none.
        cache: of converted weights; None for the usual one.
    """

    file: Path
    device: str | None
    dtype: str | None
    weights: str | None
    graphs: str | None
    data: Path | None
    acceptance: float | None
    out: Path | None
    cache: Path | None

    def allows(self, arithmetic: "Arithmetic") -> bool:
        """Whether the target may be computed so."""
        return self.dtype in (None, "auto", arithmetic.dtype) and self.weights in (None, "auto", arithmetic.weights)


def suggest_pool(asked: Asked, as_json: bool) -> None:
    """Print which arithmetic is fastest, with rules and arms worth having where there are data; write a pool if asked.

    Raises:
        ValueError: if the folder holds no finished collection or lacks a draft of the pool, the file to write is there,
            the device is not there, or the target can be had in no arithmetic that is allowed.
    """
    from speculative.pools.arithmetic import arithmetics_of
    from speculative.pools.arithmetic_search import compare_arithmetics
    from speculative.pools.expected_speed import AtAcceptance, ExpectedSpeed
    from speculative.pools.pool_file import rewritten, toml_of

    if asked.out is not None and asked.out.exists():
        raise ValueError(f"--out {asked.out} exists already: name another file")
    if asked.data is not None and asked.acceptance is not None:
        raise ValueError("--acceptance is for a suggestion without DATA, whose texts say what is accepted")
    spec = options.read_spec(asked.file, device=asked.device, graphs=asked.graphs)
    here = arithmetics_of(spec.device)
    if not any(map(asked.allows, here)):
        raise ValueError(
            f"--dtype and --weights must leave one of {', '.join(map(str, here))}, which are compared on device "
            f"{spec.device!r}, got {asked.dtype or 'any'} {asked.weights or 'any'}; ask for less"
        )
    acceptance = ACCEPTANCE if asked.acceptance is None else asked.acceptance
    expected: ExpectedSpeed = AtAcceptance(acceptance, spec.max_new_tokens)
    searched = None if asked.data is None else _search(asked.data, spec, asked.cache)
    expected = expected if searched is None else searched.expected
    choice = compare_arithmetics(spec, expected, asked.allows, options.cache_folder(asked.cache), options.say)
    changes = _changes(asked.file, choice, searched)
    if asked.out is not None:
        write_file(asked.out, rewritten(asked.file, changes))
        options.say(f"wrote {asked.out}")
    result = {"arithmetic": _record(choice), "pool": changes, **({} if searched is None else searched.record())}
    lines = [*_lines(choice), *([] if searched is None else searched.lines())]
    options.report(result, f"{toml_of(changes)}\n{options.wrapped(lines)}", as_json)


@dataclass(frozen=True, slots=True)
class _Searched:
    """What a collection says of a pool: rules and arms worth having, and texts to price arithmetics by."""

    arm_names: tuple[str, ...]
    found: "Suggestion"
    expected: "OnTraces"

    def rules(self) -> list[dict[str, object]]:
        """Return the rules as entries of a pool file, under names that no arm has."""
        names = (name for i in count(1) if (name := f"rule_{i}") not in self.arm_names)
        return [_entry(name, rule) for name, rule in zip(names, self.found.rules, strict=False)]

    def record(self) -> dict[str, object]:
        found = self.found
        return {"rules": self.rules(), "arms": found.arms, "gain": asdict(found.gain), "n_queries": found.n_queries}

    def lines(self) -> list[str]:
        return [f"arms worth keeping: {', '.join(self.found.arms)}", str(self.found)]


def _search(data: Path, spec: "PoolSpec", cache: Path | None) -> _Searched:
    """Search a collection; the pool's models are let go afterwards."""
    from speculative.collection.priced_folder import stored_costs
    from speculative.collection.rule_search import suggest_rules
    from speculative.collection.trace_store import TRACES, read_trace_parts
    from speculative.pools.expected_speed import OnTraces

    costs = stored_costs(data)
    if costs is None:
        raise ValueError(f"{data} holds no data that collect wrote: collect the pool's arms on training prompts first")
    pool = options.open_pool(spec, cache)
    traces = [trace for part in read_trace_parts(data / TRACES) for trace in part]
    found = suggest_rules(traces, pool.fixed_arms, costs, on_progress=options.say)
    return _Searched(pool.arms.names, found, OnTraces(traces))


def _changes(file: Path, choice: "ArithmeticChoice", searched: _Searched | None) -> dict[str, object]:
    """Return the keys of the pool file that the suggestion sets."""
    from speculative.pools.pool_file import arms_of_file, held_entries

    entries, after = arms_of_file(file), choice.suggested()
    rules = [] if searched is None else searched.rules()
    arms = held_entries([*entries, *rules], choice.spec, after)
    if searched is not None:
        named = zip(arms, searched.arm_names, strict=False)
        arms = [*(entry for entry, name in named if name in searched.found.arms), *arms[len(entries) :]]
    return {"dtype": after.dtype, "weights": after.weights, "arms": arms}


def _entry(name: str, rule: "NamedRule") -> dict[str, object]:
    clauses = [{"arm": arm, "min_match_length": least} for arm, least in rule.clauses]
    return {"kind": "rule", "name": name, "clauses": clauses, "fallback": rule.fallback}


def _record(choice: "ArithmeticChoice") -> dict[str, object]:
    """Return a comparison of arithmetics for JSON; seconds and tokens a second."""
    return {
        "expected": str(choice.expected),
        "chosen": str(choice.chosen.measured.arithmetic),
        "targets": [_row(priced) for priced in choice.targets],
        "refused": list(choice.refused),
    }


def _row(priced: "PricedTarget") -> dict[str, object]:
    drafts = [
        {"draft": name, "arithmetic": str(arithmetic), **asdict(cost), "fastest": priced.drafts[key] == arithmetic}
        for key, name in priced.measured.names.items()
        for arithmetic, cost in priced.measured.drafts[key].items()
    ]
    return {
        "arithmetic": str(priced.measured.arithmetic),
        "pass_s": {str(width): seconds for width, seconds in priced.pass_s.items()},
        "tokens_per_s": dict(priced.tokens_per_s),
        "drafts": drafts,
    }


def _lines(choice: "ArithmeticChoice") -> list[str]:
    """Return a comparison of arithmetics for people."""
    widths = "".join(f"{f'v({width})':>7}" for width in choice.chosen.pass_s)
    lines = [f"milliseconds of a target pass, and tokens a second expected {choice.expected}"]
    lines.append(f"{'target':<17}{widths}{'no draft':>9}{'fastest':>8} arm")
    for priced in choice.targets:
        passes = "".join(f"{seconds * 1000:>7.3g}" for seconds in priced.pass_s.values())
        best, speeds = priced.best_arm, priced.tokens_per_s
        plain = f"{speeds[choice.plain_arm]:>9.1f}"
        lines.append(f"{priced.measured.arithmetic!s:<17}{passes}{plain}{speeds[best]:>8.1f} {best}")
    measured = choice.chosen.measured
    for key, name in measured.names.items():
        for arithmetic, cost in measured.drafts[key].items():
            mark = ", the fastest" if len(measured.drafts[key]) > 1 and choice.chosen.drafts[key] == arithmetic else ""
            lines.append(
                f"{name} in {arithmetic}: {cost.token_s * 1000:.3f} ms a draft token, {cost.round_s * 1000:.3f} ms a "
                f"round, {cost.read_s * 1000:.4f} ms a prompt token{mark}"
            )
    lines += [f"not to be had: {reason}" for reason in choice.refused]
    return [*lines, f"fastest here: the target in {measured.arithmetic}"]
