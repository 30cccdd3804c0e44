"""Batch 1, 4 and 8 through one engine, undrafted and with the best arms."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arms import Query
from generation_bench.bench import Bench
from generation_bench.earlier_outputs import suffix_drafts
from generation_bench.figures import Record, as_record, equality, ratio_bar, strip
from generation_bench.peers import GREEDY, greedy_batch
from generation_bench.progress import ticks
from speculative.engine.generate import generate
from speculative.measuring.wall_clock import Run, speed_ratio, tokens_per_second
from speculative.pools.pool import Pool
from speculative.selectors.fixed import FixedSelector

SIZES = (1, 4, 8)
GROUP = 24  # prompts: three times the widest batch, so that requests join as others leave and few rows stay empty
N_ARMS = 2


def measure_batch(bench: Bench, single: Mapping[str, Any] | None) -> Record:
    """Answer groups of prompts at every batch size, in a fresh order for each group.

    Args:
        bench: pool and prompts.
        single: what was measured at batch 1; the best arms are taken from there, else the pool's first.
    """
    pool, queries, rng = bench.pool, bench.prompts.batch, np.random.default_rng(bench.options.seed)
    arms = best_arms(pool, single)
    if any(pool.arms[name].draft in suffix_drafts(pool) for name in arms):
        _ = bench.training_traces  # fills the stores
    modes = [(name, size) for name in arms for size in SIZES] + [(GREEDY, SIZES[-1])]
    groups = [queries[begin : begin + GROUP] for begin in range(0, len(queries), GROUP)]
    runs: dict[str, list[Run]] = defaultdict(list)
    prefill_s: dict[str, float] = defaultdict(float)
    texts: dict[str, list[Run]] = defaultdict(list)
    for name, size in modes:  # warm-up
        _answer(bench, [query.model_copy(update={"max_new_tokens": 4}) for query in groups[0][:size]], name, size)
    with ticks("batches", len(groups) * len(modes)) as tick:
        for i, group in enumerate(groups):
            for name, size in (modes[j] for j in rng.permutation(len(modes))):
                answers, reading_s = _answer(bench, group, name, size)
                mode = answers[0].mode
                seconds = sum(run.seconds for run in answers)
                tokens = tuple(token for run in answers for token in run.token_ids)
                runs[mode].append(Run(f"group {i}", None, mode, seconds, tokens))
                texts[mode] += answers
                prefill_s[mode] += reading_s
                tick()
    bench.runs["batch"] = strip([run for mode in runs.values() for run in mode])
    names = [_mode(name, size) for name, size in modes]
    found = _summary(names, runs, prefill_s)
    ordered = {name: texts[name] for name in names}
    return {**found, "equality": equality(pool.target, queries, ordered, _mode("no_draft", 1))}


def best_arms(pool: Pool, single: Mapping[str, Any] | None) -> list[str]:
    """No draft, and the drafting arms of most tokens per second at batch 1."""
    names = [arm.name for arm in pool.arms if arm.draft_length]
    plain = next(arm.name for arm in pool.arms if not arm.draft_length)
    if single is not None and set(names) <= set(single["modes"]):
        names.sort(key=lambda name: -float(single["modes"][name]["tokens_per_second"]))
    return [plain, *names[:N_ARMS]]


def _answer(bench: Bench, queries: Sequence[Query], name: str, size: int) -> tuple[list[Run], float]:
    """One group in one mode, its seconds shared out evenly, and the seconds of them spent on reading prompts."""
    pool = bench.pool
    if name == GREEDY:
        return greedy_batch(pool.target, bench.peer, queries, size), 0.0
    engine = pool.target.engine(pool.arms, FixedSelector(pool.arms.index(name)), max_batch=size)
    requests = [pool.target.request(query) for query in queries]
    begin = time.perf_counter()
    generations = generate(engine, requests)
    share = (time.perf_counter() - begin) / len(queries)
    runs = [
        Run(query.id, query.domain, _mode(name, size), share, generation.token_ids)
        for query, generation in zip(queries, generations, strict=True)
    ]
    return runs, sum(generation.stats.prefill_s for generation in generations)


def _mode(name: str, size: int) -> str:
    return f"{name}, batch {size}"


def _summary(modes: Sequence[str], runs: Mapping[str, Sequence[Run]], prefill_s: Mapping[str, float]) -> Record:
    plain, widest = _mode("no_draft", 1), _mode("no_draft", SIZES[-1])
    table = {
        mode: {
            "tokens_per_second": tokens_per_second(runs[mode]),
            "prefill_share": prefill_s[mode] / sum(run.seconds for run in runs[mode]),
            "times_no_draft_batch_1": as_record(speed_ratio(runs[mode], runs[plain])),
            "times_transformers_greedy_batch_8": as_record(speed_ratio(runs[mode], runs[modes[-1]])),
        }
        for mode in modes
    }
    return {
        "modes": table,
        "n_groups": len(runs[plain]),
        "group_size": GROUP,
        "bars": [ratio_bar("batch 8 over batch 1, no draft", runs[widest], runs[plain], 3.0)],
    }
