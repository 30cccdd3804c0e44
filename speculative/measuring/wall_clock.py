"""Measured time of whole answers: every mode on every prompt, interleaved in one process."""

import json
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from arms import Query
from arms.input_file import read_text
from bandits import Bootstrap, ContextEncoder, Estimate, Policy
from speculative.engine.generate import generate
from speculative.protocols.selector import Selector
from speculative.selectors.fixed import FixedSelector
from speculative.selectors.policy_selector import PolicyChoice, PolicySelector
from speculative.targets.rule_arm import PoolArm
from speculative.targets.target import Target
from speculative.targets.target_arm import target_of


@dataclass(frozen=True, slots=True)
class Run:
    """One answer, timed from token ids in to token ids out (prefill, encoding and choosing included).

    Attributes:
        query_id: of the prompt.
        domain: of the prompt.
        mode: what answered.
        seconds: wall clock.
        token_ids: the new tokens.
        select_s: the part of `seconds` spent on encoding the query and choosing; 0 where nothing is chosen.
        pick: the arm chosen, for a policy.
    """

    query_id: str
    domain: str | None
    mode: str
    seconds: float
    token_ids: tuple[int, ...]
    select_s: float = 0.0
    pick: str | None = None

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "Run":
        """Return a run from what `asdict` made of it, as JSON keeps it."""
        return cls(**{**record, "token_ids": tuple(record["token_ids"])})


def read_runs(path: str | Path) -> list[Run]:
    """Return the runs of a demo's `runs.json`.

    Raises:
        ValueError: if the file is missing or damaged.
    """
    try:
        return [Run.of_record(record) for record in json.loads(read_text(path))]
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"{path} holds no runs ({error}): name the runs.json of a finished demo") from error


Mode = Callable[[Query], Run]


def arm_mode(arm: PoolArm) -> Mode:
    """Answer with one arm; the mode has its name."""
    return selector_mode([arm], lambda: FixedSelector(0), name=arm.name)


def selector_mode(
    arms: Collection[PoolArm], make_selector: Callable[[], Selector], *, name: str, batch_invariant: bool = False
) -> Mode:
    """Answer with the arms that a selector chooses, a new selector for each answer.

    Args:
        arms: of one target, in the selector's order.
        make_selector: gives the selector.
        name: of the mode.
        batch_invariant: as in `Engine`.
    """
    target = target_of(arms)

    def run(query: Query) -> Run:
        request = target.request(query)
        engine = target.engine(arms, make_selector(), batch_invariant=batch_invariant)
        begin = time.perf_counter()
        generation = generate(engine, [request])[0]
        return Run(query.id, query.domain, name, time.perf_counter() - begin, generation.token_ids)

    return run


def policy_mode(
    arms: Collection[PoolArm], encoder: ContextEncoder, policy: Policy, *, name: str, seed: int = 0
) -> Mode:
    """Answer with the arm that a policy picks, its own time included.

    Args:
        arms: of one target; the policy's are among them.
        encoder: the one the policy's training contexts came from.
        policy: fitted.
        name: of the mode.
        seed: of the policy's draws.
    """
    rng, target, names = np.random.default_rng(seed), target_of(arms), [arm.name for arm in arms]

    def run(query: Query) -> Run:
        chosen: list[PolicyChoice] = []
        selector = PolicySelector(policy, encoder, names, rng, on_finish=chosen.append)
        request = target.request(query)
        engine = target.engine(arms, selector)
        begin = time.perf_counter()
        generation = generate(engine, [request])[0]
        seconds = time.perf_counter() - begin
        [choice] = chosen
        arm = choice.decision.arm
        return Run(query.id, query.domain, name, seconds, generation.token_ids, choice.seconds, arm)

    return run


def transformers_mode(target: Target, model: Any, name: str, **options: Any) -> Mode:
    """Answer with transformers' own greedy `generate`, on the same weights and token limit."""

    def run(query: Query) -> Run:
        request = target.request(query)
        ids = torch.tensor([request.token_ids], device=target.model.device)
        begin = time.perf_counter()
        output = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=request.max_new_tokens,
            do_sample=False,
            eos_token_id=list(request.eos_ids),
            pad_token_id=request.eos_ids[0],
            **options,
        )
        seconds = time.perf_counter() - begin
        return Run(query.id, query.domain, name, seconds, tuple(output[0, ids.shape[1] :].tolist()))

    return run


def measure(
    queries: Sequence[Query],
    modes: Mapping[str, Mode],
    seed: int,
    *,
    only: Mapping[str, set[str]] | None = None,
    on_progress: Callable[[], None] | None = None,
) -> list[Run]:
    """Run every mode on every query, in a fresh random order for each query, after one warm-up of each mode.

    Args:
        queries: the prompts.
        modes: by name.
        seed: of the order.
        only: for a mode named here, the ids of the queries it runs on.
        on_progress: called after each run.
    """
    rng = np.random.default_rng(seed)
    for mode in modes.values():
        mode(queries[0].model_copy(update={"max_new_tokens": 4}))
    runs = []
    for query in queries:
        for name in rng.permutation(list(modes)).tolist():
            if only is not None and name in only and query.id not in only[name]:
                continue
            runs.append(modes[name](query))
            if on_progress is not None:
                on_progress()
    return runs


def compose_policy_runs(runs: Iterable[Run], policy_name: str, picks: Mapping[str, tuple[str, float]]) -> list[Run]:
    """Return a policy's time on each query: the measured times of its choice and of choosing.

    Args:
        runs: with every arm on every query.
        policy_name: mode of the result.
        picks: query id to (arm picked, seconds of encoding and choosing).
    """
    composed = []
    for run in runs:
        if run.query_id in picks and run.mode == picks[run.query_id][0]:
            arm, select_s = picks[run.query_id]
            composed.append(replace(run, mode=policy_name, seconds=run.seconds + select_s, select_s=select_s, pick=arm))
    return composed


def tokens_per_second(runs: Sequence[Run]) -> float:
    """Total new tokens over total seconds."""
    return sum(len(run.token_ids) for run in runs) / sum(run.seconds for run in runs)


def speed_ratio(fast: Sequence[Run], slow: Sequence[Run], seed: int = 0, n_bootstrap: int = 2000) -> Estimate:
    """Tokens per second of `fast` over those of `slow`, on the queries both ran.

    The interval is a 95 % bootstrap interval over queries.

    Raises:
        ValueError: if they share no query.
    """
    by_query = {run.query_id: run for run in slow}
    pairs = [(run, by_query[run.query_id]) for run in fast if run.query_id in by_query]
    if not pairs:
        raise ValueError("the two modes ran no query in common")
    figures = np.array([(len(a.token_ids), a.seconds, len(b.token_ids), b.seconds) for a, b in pairs])
    bootstrap = Bootstrap(n_resamples=n_bootstrap, seed=seed)
    sums = bootstrap.sums(figures.astype(np.float64))
    return bootstrap.estimate((sums[:, 0] / sums[:, 1]) / (sums[:, 2] / sums[:, 3]), len(figures))


def repeated_share(token_ids: Sequence[int]) -> float:
    """Share of a text's 4-grams that stood in it before; above one half the text loops."""
    grams = [tuple(token_ids[i : i + 4]) for i in range(len(token_ids) - 3)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0
