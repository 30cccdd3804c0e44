"""What a pass, a round and a sampled row cost, and what memory would allow."""

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

from generation_bench.bench import Bench
from generation_bench.figures import Record, limit_bar
from generation_bench.pass_parts import bandwidths, bytes_per_weight, pass_parts, weight_bytes
from generation_bench.rules import kind_of
from generation_bench.sampling import sampling_costs
from speculative.drafts.draft_model import DraftModel
from speculative.measuring.cost_measurement import EXACT, measure_costs
from speculative.measuring.cost_profile import CostProfile
from speculative.measuring.wall_clock import Mode, transformers_mode
from speculative.models.decoder import Decoder
from speculative.pools.pool import Pool, load_target
from speculative.targets.speculative_arm import SpeculativeArm
from speculative.targets.target import Target

MS = 1e3
N_PROMPTS, N_TOKENS = 4, 32  # whose rounds are timed


def measure_costs_part(bench: Bench) -> Record:
    """Time passes of both targets, rounds of each kind of arm, and the sampling of rows."""
    pool, options = bench.pool, bench.options
    repeats = 1 if options.smoke else 7
    profile = (
        bench.costs
        if options.smoke
        else measure_costs(pool.target.model, pool.drafts, effort=replace(EXACT, n_repeats=repeats))
    )
    int4 = load_target(bench.spec(options.int4_pool))
    int4_profile = measure_costs(int4.model, [], effort=replace(EXACT, n_repeats=repeats))
    queries = [query.model_copy(update={"max_new_tokens": N_TOKENS}) for query in bench.prompts.test[:N_PROMPTS]]
    host = {arm.name: host_ms(pool, arm, queries) for arm in _one_arm_a_kind(pool)}
    greedy = transformers_mode(pool.target, bench.peer, "transformers greedy")
    rows = sampling_costs(pool.target, pool.target.request(queries[0]), n_repeats=5 if options.smoke else 100)
    ratios = _eight_over_one(profile)
    return {
        "passes_ms": _grid(profile),
        "int4_passes_ms": _grid(int4_profile),
        "eight_over_one": ratios,
        "int4_eight_over_one": _eight_over_one(int4_profile),
        "drafts_ms": {
            name: {"round": cost.round_s * MS, "token": cost.token_s * MS, "prompt_token": cost.read_s * MS}
            for name, cost in profile.drafts.items()
        },
        "conclusions": [
            profile.conclusion(arm.draft.name, arm.draft_length) for arm in pool.fixed_arms if arm.draft_length
        ],
        "host_ms": host,
        "transformers_host_ms": peer_host_ms(bench.peer, greedy, queries),
        "sampling_ms": rows,
        "floor": _floor(pool.target, int4, profile, int4_profile, repeats),
        "bars": [
            limit_bar("verification of 8 tokens over one (the worst cache length)", max(ratios.values()), 1.6),
            *(limit_bar(f"host milliseconds a round, batch 1, greedy, {name}", ms, 0.3) for name, ms in host.items()),
            *(limit_bar(f"sampling milliseconds a row, {name}", row, 0.6) for name, row in rows.items()),
        ],
    }


def host_ms(pool: Pool, arm: SpeculativeArm, queries: Sequence[Any]) -> float:
    """Median milliseconds of a round outside the forwards of target and draft."""
    engine = pool.target.engine([arm])
    spent = []
    models = [pool.target.model, *([arm.draft.model] if isinstance(arm.draft, DraftModel) else [])]
    with timed_forwards(models) as forwards:
        for query in queries:
            engine.submit(pool.target.request(query))
            for _ in range(2):  # the target reads the prompt, then the draft does
                engine.step()
            while engine.n_unfinished:
                n_before, begin = len(forwards), time.perf_counter()
                engine.step()
                spent.append(time.perf_counter() - begin - sum(end - start for start, end in forwards[n_before:]))
            engine.discard(query.id)
    return statistics.median(spent) * MS


def peer_host_ms(peer: Any, mode: Mode, queries: Sequence[Any]) -> float:
    """Median milliseconds between two forwards of transformers' greedy decoding."""
    gaps = []
    with timed_forwards([peer]) as forwards:
        for query in queries:
            first = len(forwards)
            mode(query)
            own = forwards[first:]
            gaps += [start - end for (_, end), (start, _) in pairwise(own)]
    return statistics.median(gaps) * MS


@contextmanager
def timed_forwards(models: Sequence[Any]) -> Iterator[list[tuple[float, float]]]:
    """Inside the block, keep when each forward of these models began and ended."""
    times: list[tuple[float, float]] = []

    def timed(forward: Any) -> Any:
        def run(*args: Any, **kwargs: Any) -> Any:
            begin = time.perf_counter()
            output = forward(*args, **kwargs)
            times.append((begin, time.perf_counter()))
            return output

        return run

    with ExitStack() as undo:
        for model in models:
            model.forward = timed(model.forward)
            undo.callback(delattr, model, "forward")
        yield times


def _one_arm_a_kind(pool: Pool) -> list[SpeculativeArm]:
    first: dict[str, SpeculativeArm] = {}
    for arm in pool.fixed_arms:
        first.setdefault(kind_of(arm.draft), arm)
    return list(first.values())


def _grid(profile: CostProfile) -> dict[str, dict[str, float]]:
    """Cache length to (tokens to milliseconds of a pass)."""
    return {
        str(length): {str(m): profile.verify_s(m, length) * MS for m in profile.widths}
        for length in profile.cache_lengths
    }


def _eight_over_one(profile: CostProfile) -> dict[str, float]:
    return {str(length): profile.verify_s(8, length) / profile.verify_s(1, length) for length in profile.cache_lengths}


def _floor(
    dense: Target, int4: Target, profile: CostProfile, int4_profile: CostProfile, n_repeats: int
) -> dict[str, Record]:
    """Return what a pass over one token would take if only weights had to be read, and where its time goes."""
    size = 2**24 if n_repeats == 1 else 2**29
    speeds = bandwidths(size)
    found: dict[str, Record] = {"bandwidth_gb_per_s": {name: speed / 1e9 for name, speed in speeds.items()}}
    for name, target, costs in (("float32", dense, profile), ("int4", int4, int4_profile)):
        assert isinstance(target.model, Decoder)
        n_bytes = weight_bytes(target.model.config, *bytes_per_weight(target.model))
        length = costs.cache_lengths[len(costs.cache_lengths) // 2]
        found[name] = {
            "arithmetic": target.model.arithmetic,
            "weights_mb": n_bytes / 1e6,
            "floor_ms": {kind: n_bytes / speed * MS for kind, speed in speeds.items()},
            "cache_length": length,
            "measured_ms": {str(m): costs.verify_s(m, length) * MS for m in (1, 8)},
            "parts_ms": {str(m): pass_parts(target.model, m, length, max(3, 4 * n_repeats)) for m in (1, 8)},
        }
    return found
